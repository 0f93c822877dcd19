// Drop, paste or choose a photo: it is previewed and searched with at once. Without this script the form works as it is.
const form = document.querySelector("[data-photo-search]");
const results = document.querySelector("[data-results]");
const preview = form.querySelector("[data-preview]");
const said = form.querySelector("[data-search-said]");
const error = form.querySelector("[data-search-error]");
const inputs = [...form.querySelectorAll('input[type="file"]')];
let running = null;

form.classList.add("is-live");

function showPreview(file) {
  const image = new Image();
  const url = URL.createObjectURL(file);
  image.alt = "";
  image.onload = () => URL.revokeObjectURL(url);
  image.onerror = () => (preview.textContent = file.name); // a format this browser cannot show; the server can
  image.src = url;
  preview.replaceChildren(image);
}

async function search(file) {
  running?.abort();
  const request = (running = new AbortController());
  showPreview(file);
  error.textContent = "";
  said.textContent = "Looking…";
  form.classList.add("is-busy");
  const data = new FormData();
  data.set("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
  data.set("image", file, file.name || "photo");
  try {
    const answer = await fetch(form.action, { method: "POST", body: data, signal: request.signal });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const found = page.querySelector("[data-results]");
    const refused = page.querySelector("[data-search-error]")?.textContent;
    if (!found || (!answer.ok && !refused)) throw new Error(page.querySelector("h1")?.textContent);
    error.textContent = refused;
    results.replaceChildren(...found.childNodes);
    const cards = results.querySelectorAll(".card").length;
    said.textContent = cards ? `${cards} listings look like it.` : "";
    if (!refused) results.focus({ preventScroll: true });
  } catch (problem) {
    if (problem.name === "AbortError") return;
    error.textContent = problem instanceof TypeError ? "No connection. Try again." : problem.message || "That did not work. Try again.";
    said.textContent = "";
  }
  form.classList.remove("is-busy");
}

for (const input of inputs) input.addEventListener("change", () => input.files[0] && search(input.files[0]));

form.addEventListener("submit", (event) => {
  const file = inputs.flatMap((input) => [...input.files])[0];
  event.preventDefault();
  if (file) search(file);
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
