// Sends a form's text first and then one photo at a time, with progress and retries: on a shaky network a lost photo
// costs only itself. Without this script the form is sent as a whole.
import { Picker } from "./picker.js";

const TRIES = 3;
const NO_CONNECTION = "No connection.";

class Refused extends Error {}

function send(url, body, token, onProgress = () => {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("X-CSRFToken", token);
    request.responseType = "json";
    request.upload.onprogress = ({ loaded, total }) => onProgress(loaded / total);
    request.onload = () => {
      const isOurs = request.response && new URL(request.responseURL).pathname === new URL(url, location.href).pathname;
      if (isOurs) resolve(request);
      else if (request.status >= 500) reject(new Error("The server is busy."));
      else reject(new Refused("You may have been signed out. Reload the page and try again."));
    };
    request.onerror = request.ontimeout = () => reject(new Error(NO_CONNECTION));
    request.timeout = 180_000;
    request.send(body);
  });
}

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

async function persist(attempt) {
  for (let tried = 1; ; tried += 1) {
    try {
      return await attempt();
    } catch (problem) {
      if (problem instanceof Refused || tried === TRIES) throw problem;
      await pause(tried * 1.5);
    }
  }
}

function showErrors(form, errors) {
  for (const old of form.querySelectorAll("[data-field] .error")) old.remove();
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  for (const [name, texts] of Object.entries(errors)) {
    const field = form.querySelector(`[data-field="${name}"]`);
    const input = field?.querySelector("input, select, textarea");
    if (!input) continue;
    const note = document.createElement("p");
    note.className = "error";
    note.id = `${input.id}_error`;
    note.textContent = texts.join(" ");
    field.append(note);
    input.setAttribute("aria-invalid", "true");
    input.setAttribute("aria-describedby", `${input.id}_helptext ${note.id}`);
  }
  form.querySelector("[aria-invalid]")?.focus();
}

class Uploader {
  constructor(form) {
    this.form = form;
    this.picker = new Picker(form.querySelector("[data-picker]"));
    this.error = form.querySelector("[data-uploader-error]");
    this.token = form.elements.csrfmiddlewaretoken.value;
    this.target = "create" in form.dataset ? null : { photos: form.action, next: form.dataset.next };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit(event.submitter);
    });
  }

  async submit(submitter) {
    if (this.busy) return;
    const text = new FormData(this.form, submitter); // before the buttons are disabled, which would leave them out
    text.delete("photos");
    this.setBusy(true);
    this.error.textContent = "";
    try {
      this.target ??= await this.create(text);
      if (this.target && (await this.sendPhotos())) return location.assign(this.target.next);
    } catch (problem) {
      this.error.textContent = `${problem.message} Nothing is lost: try again.`;
    }
    this.setBusy(false);
  }

  setBusy(busy) {
    this.busy = busy;
    for (const button of this.form.querySelectorAll('[type="submit"]')) button.disabled = busy;
  }

  async create(text) {
    // The hidden key makes a repeated request answer with the listing that the first one made.
    const { status, response } = await persist(() => send(this.form.action, text, this.token));
    showErrors(this.form, response.errors ?? {});
    if (status !== 201) {
      this.error.textContent = "Something is missing. It is marked above.";
      return null;
    }
    return response;
  }

  async sendPhotos() {
    const waiting = this.picker.waiting();
    if (!waiting.length && !("create" in this.form.dataset)) {
      this.error.textContent = "Choose at least one photo first.";
      return false;
    }
    for (const item of waiting) await this.sendPhoto(item);
    const failed = this.picker.waiting().length;
    const refused = this.picker.refused().length;
    if (failed) this.error.textContent = `${failed} of the photos did not get through. The rest is saved: press the button to try them again.`;
    else if (refused) this.offerToGoOn();
    return !failed && !refused;
  }

  async sendPhoto(item) {
    const data = new FormData();
    data.set("photos", item.file, item.file.name);
    try {
      const { response } = await persist(() => send(this.target.photos, data, this.token, (share) => item.progress(share)));
      const refusal = response.refusals[0];
      if (refusal) item.refuse(refusal.reason);
      else item.done();
    } catch (problem) {
      item.fail(problem.message);
    }
  }

  offerToGoOn() {
    const link = document.createElement("a");
    link.className = "button secondary";
    link.href = this.target.next;
    link.textContent = "Go on without them";
    this.error.replaceChildren("Some photos could not be used; the reason is beside each. ", link);
    link.focus();
  }
}

for (const form of document.querySelectorAll("[data-uploader]")) new Uploader(form);
