// What a browser shows of a picture: its upright size, and the means of square blocks of it over white, in sRGB.
async (longestSide) => {
  const image = new Image();
  image.src = `/${Math.random()}`;
  try {
    await image.decode();
  } catch (error) {
    return { refused: String(error) };
  }
  const { naturalWidth: width, naturalHeight: height } = image;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { colorSpace: "srgb", willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(image, 0, 0, width, height);
  const source = context.getImageData(0, 0, width, height).data;
  const block = Math.ceil(Math.max(width, height) / longestSide);
  const rows = Math.max(1, Math.floor(height / block)), columns = Math.max(1, Math.floor(width / block));
  const high = Math.min(block, height), wide = Math.min(block, width);
  const pixels = new Uint8Array(rows * columns * 3);
  for (let row = 0, to = 0; row < rows; row++)
    for (let column = 0; column < columns; column++, to += 3) {
      let red = 0, green = 0, blue = 0;
      for (let y = 0; y < high; y++) {
        let from = ((row * block + y) * width + column * block) * 4;
        for (let x = 0; x < wide; x++, from += 4) {
          red += source[from];
          green += source[from + 1];
          blue += source[from + 2];
        }
      }
      const count = high * wide;
      pixels[to] = Math.round(red / count);
      pixels[to + 1] = Math.round(green / count);
      pixels[to + 2] = Math.round(blue / count);
    }
  let text = "";
  for (let at = 0; at < pixels.length; at += 32768)
    text += String.fromCharCode(...pixels.subarray(at, at + 32768));
  return { width, height, rows, pixels: btoa(text) };
}
