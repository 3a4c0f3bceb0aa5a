// Draws the panels of an ImageCanvas: one byte a pixel, coloured here through the palette.

function drawPanel(canvas, pixels, offset, panel, palette) {
  canvas.width = panel.width;
  canvas.height = panel.height;
  const context = canvas.getContext("2d");
  const picture = context.createImageData(panel.width, panel.height);
  for (let i = 0; i < panel.width * panel.height; i++) {
    const shade = 3 * pixels[offset + i];
    picture.data[4 * i] = palette[shade];
    picture.data[4 * i + 1] = palette[shade + 1];
    picture.data[4 * i + 2] = palette[shade + 2];
    picture.data[4 * i + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
}

const asBytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

function makePanel() {
  const figure = document.createElement("figure");
  figure.append(document.createElement("figcaption"), document.createElement("canvas"));
  return figure;
}

// The still picture printed before the widget is for readers without a kernel. Beside a live
// canvas it is a double, so it is hidden here; the notebook file keeps it.
function hideStill(el, triesLeft = 60) {
  const child = el.closest(".jp-OutputArea-child");
  if (!child) {
    if (triesLeft > 0) requestAnimationFrame(() => hideStill(el, triesLeft - 1));
    return;
  }
  const before = child.previousElementSibling;
  if (before?.querySelector(".jp-RenderedImage")) before.style.display = "none";
}

function render({ model, el }) {
  el.classList.add("deqlab-canvas");
  const title = document.createElement("div");
  title.className = "deqlab-title";
  const row = document.createElement("div");
  row.className = "deqlab-row";
  el.append(title, row);

  const draw = () => {
    title.textContent = model.get("title");
    const panels = model.get("panels");
    const pixels = asBytes(model.get("pixels"));
    const palette = asBytes(model.get("palette"));
    while (row.children.length < panels.length) row.append(makePanel());
    while (row.children.length > panels.length) row.lastChild.remove();
    let offset = 0;
    panels.forEach((panel, index) => {
      const [caption, canvas] = row.children[index].children;
      const zoom = model.get("size") / Math.max(panel.width, panel.height);
      caption.textContent = panel.name;
      canvas.style.width = `${panel.width * zoom}px`;
      canvas.style.aspectRatio = `${panel.width} / ${panel.height}`;
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${panel.name} ${model.get("title")}`);
      drawPanel(canvas, pixels, offset, panel, palette);
      offset += panel.width * panel.height;
    });
  };
  model.on("change", draw);
  draw();
  hideStill(el);
  return () => model.off("change", draw);
}

export default { render };
