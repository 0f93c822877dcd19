// Asks what became of each photo: every second at first, then less and less often, until all are settled.
import { countPhotos } from "./picker.js";

const list = document.querySelector("[data-watch]");
const said = document.querySelector("[data-watch-said]");
const LONGEST = 15_000;

function show({ id, state, label, reason, thumb }) {
  const tile = list.querySelector(`[data-photo="${id}"]`);
  if (!tile || tile.dataset.state === state) return false;
  tile.dataset.state = state;
  tile.querySelector("[data-label]").textContent = label;
  tile.querySelector("[data-reason]").textContent = reason;
  if (thumb) {
    const image = new Image();
    image.src = thumb;
    image.alt = document.querySelector("h1").textContent;
    tile.querySelector(".card-photo").replaceChildren(image);
  }
  return true;
}

async function look(pause) {
  let settled = false;
  try {
    const answer = await fetch(list.dataset.watch, { headers: { Accept: "application/json" } });
    if (!answer.ok || answer.redirected) return;
    const { photos, settled: all } = await answer.json();
    settled = all;
    const changed = photos.filter(show);
    if (changed.length) {
      const waiting = photos.filter(({ state }) => state === "new").length;
      const rejected = changed.filter(({ reason }) => reason).map(({ reason }) => `A photo is not usable: ${reason}`);
      said.textContent = [waiting ? `${countPhotos(waiting)} still being prepared.` : "All photos are done.", ...rejected].join(" ");
      pause = 1000;
    }
  } catch {
    // Offline for a moment; the next look finds out.
  }
  if (!settled) setTimeout(look, pause, Math.min(pause * 1.3, LONGEST));
}

setTimeout(look, 500, 1000);
