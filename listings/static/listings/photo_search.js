// Drop, paste or choose a photo: it is previewed and searched with at once. Without this script the form works as it is.
// What was found is kept in the browser's history, so that Back from a listing, or a reload, shows it again.
import { readToken } from "./requests.js";

const form = document.querySelector("[data-photo-search]");
const results = document.querySelector("[data-results]");
const preview = form.querySelector("[data-preview]");
const said = form.querySelector("[data-search-said]");
const error = form.querySelector("[data-search-error]");
const inputs = [...form.querySelectorAll('input[type="file"]')];
const PREVIEW_SIDE = 416;
let running = null;
let latest = null;

form.classList.add("is-live");

function showPreview(url, name) {
  const image = new Image();
  image.alt = "";
  image.onload = () => URL.revokeObjectURL(url);
  image.onerror = () => (preview.textContent = name); // a format this browser cannot show; the server can
  image.src = url;
  preview.replaceChildren(image);
}

function shrinkPreview() {
  const image = preview.querySelector("img");
  if (!image?.naturalWidth) return "";
  const scale = Math.min(1, PREVIEW_SIDE / Math.max(image.naturalWidth, image.naturalHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, image.naturalWidth * scale);
  canvas.height = Math.max(1, image.naturalHeight * scale);
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", 0.8);
}

function sayHowMany() {
  const cards = results.querySelectorAll(".card").length;
  said.textContent = cards ? `${cards} listing${cards === 1 ? " looks" : "s look"} like it.` : "";
  return cards;
}

// Only answers that lead somewhere: one such as "try again in a second" must not come back with a reload.
function keepResults(name) {
  history.replaceState(sayHowMany() ? { results: results.innerHTML, preview: shrinkPreview(), name } : null, "");
}

function restoreResults(kept) {
  results.innerHTML = kept.results;
  sayHowMany();
  showPreview(kept.preview, kept.name);
}

async function search(file) {
  running?.abort();
  const request = (running = new AbortController());
  latest = file;
  for (const input of inputs) input.value = ""; // or choosing the same photo again would be no change
  showPreview(URL.createObjectURL(file), file.name);
  error.textContent = "";
  said.textContent = "Looking…";
  form.classList.add("is-busy");
  form.classList.remove("may-retry");
  const data = new FormData();
  data.set("csrfmiddlewaretoken", readToken(form));
  data.set("image", file, file.name || "photo");
  try {
    const answer = await fetch(form.action, { method: "POST", body: data, signal: request.signal });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.querySelector("[data-results]");
    const refused = page.querySelector("[data-search-error]")?.textContent;
    if (!found || (!answer.ok && !refused)) throw new Error(page.querySelector("h1")?.textContent);
    error.textContent = refused;
    results.replaceChildren(...found.childNodes);
    keepResults(file.name);
    form.classList.toggle("may-retry", answer.status === 429 || results.querySelector(".alert") !== null);
    if (!refused) results.focus({ preventScroll: true });
  } catch (problem) {
    if (problem.name === "AbortError") return;
    error.textContent = problem instanceof TypeError ? "No connection. Try again." : problem.message || "That did not work. Try again.";
    said.textContent = "";
    form.classList.add("may-retry");
  }
  form.classList.remove("is-busy");
}

if (history.state?.results) restoreResults(history.state);

for (const input of inputs) input.addEventListener("change", () => input.files[0] && search(input.files[0]));

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (latest) search(latest);
  else error.textContent = "Choose a photo, or take one.";
});

for (const type of ["dragenter", "dragover"]) {
  form.addEventListener(type, (event) => {
    event.preventDefault();
    form.classList.add("is-over");
  });
}
for (const type of ["dragleave", "drop"]) form.addEventListener(type, () => form.classList.remove("is-over"));
form.addEventListener("drop", (event) => {
  event.preventDefault();
  if (event.dataTransfer.files[0]) search(event.dataTransfer.files[0]);
});
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files[0]) search(event.clipboardData.files[0]);
});
