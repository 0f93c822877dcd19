// Thumbnails are links to photos; here they scroll the gallery without moving the page, and show which one is seen.
const gallery = document.querySelector("[data-gallery]");
const links = [...document.querySelectorAll("[data-thumb]")];
const slides = [...gallery.children];

links.forEach((link, index) =>
  link.addEventListener("click", (event) => {
    event.preventDefault();
    gallery.scrollTo({ left: slides[index].offsetLeft - gallery.offsetLeft });
  }),
);

const seen = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) links.forEach((link, index) => link.toggleAttribute("aria-current", slides[index] === target));
    }
  },
  { root: gallery, threshold: 0.6 },
);
slides.forEach((slide) => seen.observe(slide));
