// While a page of the admin shows photos that are being prepared, it is read anew now and then: what changed is put in.
const WAITING = '[data-photo-state="new"]';
const LONGEST = 15_000;
const said = document.createElement("p");

async function readPage() {
  const answer = await fetch(location.href);
  if (!answer.ok || answer.redirected) return null;
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

function put(page) {
  const changed = [...document.querySelectorAll("[data-photo-part]")].filter((old) => {
    const now = page.querySelector(`[data-photo-part="${old.dataset.photoPart}"]`);
    if (!now || now.isEqualNode(old)) return false;
    old.replaceWith(now);
    return true;
  });
  return changed.length > 0;
}

async function look(pause, isLast = false) {
  try {
    const page = await readPage();
    if (!page) return;
    if (put(page)) pause = 1000;
  } catch {
    // Offline for a moment; the next look finds out.
  }
  if (document.querySelector(WAITING)) setTimeout(look, pause, Math.min(pause * 1.3, LONGEST));
  else if (!isLast) {
    said.textContent = "All photos are done.";
    // The similar listings are found by the photos, and those are found a moment after they are ready.
    setTimeout(look, 1500, pause, true);
  }
}

if (document.querySelector(WAITING)) {
  said.className = "visually-hidden";
  said.setAttribute("role", "status");
  document.body.append(said);
  setTimeout(look, 500, 1000);
}
