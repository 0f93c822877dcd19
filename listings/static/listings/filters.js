// Empty fields stay out of the address, and a new order applies at once.
const form = document.querySelector("[data-filters]");

form.addEventListener("formdata", ({ formData }) => {
  for (const [name, value] of [...formData]) if (!value || (name === "ordering" && value === "-created")) formData.delete(name);
});
form.elements.ordering.addEventListener("change", () => form.requestSubmit());
