// Empty fields and the usual order stay out of the address.
const form = document.querySelector("[data-filters]");

form.addEventListener("formdata", ({ formData }) => {
  for (const [name, value] of [...formData]) if (!value || (name === "ordering" && value === "-created")) formData.delete(name);
});
