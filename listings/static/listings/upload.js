// Sends a form's text first and then one photo at a time, with progress and retries: on a shaky network a lost photo
// costs only itself. Without this script the form is sent as a whole.
import { Picker, countPhotos } from "./picker.js";
import { Refused, SignedOut, readToken, send } from "./requests.js";

const TRIES = 3;

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
    const picker = form.querySelector("[data-picker]"); // none where a listing has no room for more photos
    this.picker = picker && new Picker(picker);
    this.error = form.querySelector("[data-uploader-error]");
    form.noValidate = true; // the server explains what is wrong beside each field, and all of it at once
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit(event.submitter);
    });
    form.addEventListener("input", () => (this.unsaved = true));
    addEventListener("beforeunload", (event) => this.unsaved && event.preventDefault());
    // Back shows the page as it was left: its buttons off, and its photos sent.
    addEventListener("pageshow", ({ persisted }) => persisted && this.left && location.reload());
  }

  async submit(submitter) {
    if (this.busy) return;
    const text = new FormData(this.form, submitter); // before the buttons are disabled, which would leave them out
    text.delete("photos");
    text.delete("csrfmiddlewaretoken");
    this.setBusy(true);
    this.error.textContent = "";
    try {
      if ((await this.save(text)) && (await this.sendPhotos())) return this.leave(this.saved.next);
    } catch (problem) {
      this.explain(problem);
    }
    this.setBusy(false);
  }

  leave(address) {
    this.unsaved = false;
    this.left = true;
    location.assign(address);
  }

  explain(problem) {
    if (problem instanceof SignedOut) {
      const link = document.createElement("a");
      link.href = "/sign-in/";
      link.target = "_blank";
      link.textContent = "Sign in in a new tab";
      this.error.replaceChildren(`${problem.message} `, link, ", come back here, and press the button again: nothing here is lost.");
    } else {
      this.error.textContent = `${problem.message} Nothing here is lost: try again.`;
    }
  }

  setBusy(busy) {
    this.busy = busy;
    for (const button of this.form.querySelectorAll('[type="submit"]')) button.disabled = busy;
  }

  post(address, body, onProgress) {
    return persist(() => send(address, body, readToken(this.form), onProgress));
  }

  async save(text) {
    const words = new URLSearchParams(text).toString();
    if (words === this.saved?.words) return true; // only photos are left to be sent
    // The hidden key makes a repeated request answer with the listing that the first one made.
    const { status, response } = await this.post(this.form.action, text);
    showErrors(this.form, response.errors ?? {});
    if (status >= 400) {
      this.error.textContent = "Nothing was saved yet: correct what is marked above.";
      return false;
    }
    this.saved = { words, ...response };
    this.form.action = response.next; // what is changed from here on changes the listing that there is now
    return true;
  }

  async sendPhotos() {
    if (!this.picker) return true;
    let problem = null;
    for (const item of this.picker.waiting()) problem = (await this.sendPhoto(item)) ?? problem;
    this.picker.count(0);
    const failed = this.picker.waiting().length;
    const refused = this.picker.refused().length;
    if (problem instanceof SignedOut) this.explain(problem);
    else if (failed) this.error.textContent = `${countPhotos(failed)} did not get through. The rest is saved: press the button to try again.`;
    else if (refused) this.offerToGoOn();
    return !failed && !refused;
  }

  async sendPhoto(item) {
    const data = new FormData();
    data.set("photos", item.file, item.file.name);
    try {
      const { response } = await this.post(this.saved.photos, data, (share) => item.progress(share));
      const refusal = response.refusals[0];
      if (refusal) item.refuse(refusal.reason);
      else item.done();
      return null;
    } catch (problem) {
      item.fail(problem.message);
      return problem;
    }
  }

  offerToGoOn() {
    const link = document.createElement("a");
    link.className = "button secondary";
    link.href = this.saved.next;
    link.textContent = "Go on without them";
    link.addEventListener("click", () => (this.unsaved = false));
    this.error.replaceChildren("Some photos could not be used; the reason is beside each. ", link);
    link.focus();
  }
}

for (const form of document.querySelectorAll("[data-uploader]")) new Uploader(form);
