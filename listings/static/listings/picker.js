// The photos somebody chose: previews, one by one removable, and each one's progress. Choosing again adds to them.

export const countPhotos = (number) => `${number} photo${number === 1 ? "" : "s"}`;

class Item {
  constructor(file, onRemove) {
    this.file = file;
    this.state = "waiting";
    this.element = document.createElement("li");
    this.element.className = "picker-item";
    const frame = document.createElement("div");
    frame.className = "card-photo";
    frame.append(this.preview());
    this.said = document.createElement("p");
    this.said.textContent = file.size < 1e6 ? `${Math.ceil(file.size / 1e3)} kB` : `${(file.size / 1e6).toFixed(1)} MB`;
    this.bar = document.createElement("progress");
    this.bar.max = 1;
    this.bar.hidden = true;
    this.bar.setAttribute("aria-label", `Upload of ${file.name}`);
    this.remove = document.createElement("button");
    this.remove.type = "button";
    this.remove.className = "button secondary slim";
    this.remove.textContent = "Remove";
    this.remove.setAttribute("aria-label", `Remove ${file.name}`);
    this.remove.addEventListener("click", () => onRemove(this));
    this.element.append(frame, this.said, this.bar, this.remove);
  }

  preview() {
    const image = new Image();
    image.alt = this.file.name;
    image.src = URL.createObjectURL(this.file);
    image.onload = () => URL.revokeObjectURL(image.src);
    image.onerror = () => {
      const name = document.createElement("p"); // a format this browser cannot show, such as HEIC
      name.className = "no-photo";
      name.textContent = this.file.name;
      image.replaceWith(name);
    };
    return image;
  }

  progress(share) {
    this.bar.hidden = false;
    this.bar.value = share;
    this.said.textContent = share < 1 ? `Sending, ${Math.round(share * 100)} %` : "Checking…";
  }

  done() {
    this.settle("done", "Sent");
    this.remove.hidden = true;
  }

  refuse(reason) {
    this.settle("refused", reason);
    this.said.className = "error";
  }

  fail(reason) {
    this.settle("waiting", `${reason} Not sent yet.`);
  }

  settle(state, text) {
    this.state = state;
    this.bar.hidden = true;
    this.said.textContent = text;
  }
}

export class Picker {
  constructor(element) {
    this.most = Number(element.dataset.most);
    this.list = element.querySelector("[data-picker-list]");
    this.said = element.querySelector("[data-picker-said]");
    this.input = element.querySelector('input[type="file"]');
    this.items = [];
    element.classList.add("is-live");
    this.input.addEventListener("change", () => this.add([...this.input.files]));
    if (this.input.files.length) this.add([...this.input.files]); // a browser that restored the form
  }

  waiting() {
    return this.items.filter(({ state }) => state === "waiting");
  }

  refused() {
    return this.items.filter(({ state }) => state === "refused");
  }

  add(files) {
    const known = new Set(this.items.map(({ file }) => `${file.name} ${file.size} ${file.lastModified}`));
    const fresh = files.filter((file) => !known.has(`${file.name} ${file.size} ${file.lastModified}`));
    const room = this.most - this.items.filter(({ state }) => state !== "refused").length;
    for (const file of fresh.slice(0, room)) {
      const item = new Item(file, (gone) => this.drop(gone));
      this.items.push(item);
      this.list.append(item.element);
    }
    this.input.value = "";
    this.count(fresh.length - Math.max(0, room));
  }

  drop(item) {
    this.items = this.items.filter((other) => other !== item);
    item.element.remove();
    this.count(0);
    this.input.focus();
  }

  count(tooMany) {
    const number = this.waiting().length;
    const words = number ? `${countPhotos(number)} chosen.` : "";
    this.said.textContent = tooMany > 0 ? `${words} There is room for ${countPhotos(this.most)}; ${tooMany} left out.` : words;
  }
}
