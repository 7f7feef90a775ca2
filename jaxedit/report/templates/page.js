// Draws the charts, switches scales, leafs through pictures. Nothing is loaded.
"use strict";

async function unpack() {
  const packed = document.getElementById("plotly").textContent.trim();
  const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const script = document.createElement("script");
  script.textContent = await new Response(stream).text();
  document.head.append(script);
}

function setScale(plot, log) {
  // A first view that leaves outliers out is given up, or found again, with the scale.
  const { range } = figures[plot.dataset.figure].layout.yaxis;
  Plotly.relayout(plot, log || !range
    ? { "yaxis.type": log ? "log" : "linear", "yaxis.autorange": true }
    : { "yaxis.type": "linear", "yaxis.range": [...range] });
}

function draw(plot) {
  if (plot.dataset.drawn) return;
  plot.dataset.drawn = "yes";
  const { data, layout } = figures[plot.dataset.figure];
  Plotly.newPlot(plot, structuredClone(data), structuredClone(layout), {
    responsive: true, displaylogo: false, displayModeBar: "hover",
    modeBarButtonsToRemove: ["select2d", "lasso2d"],
    showSendToCloud: false, plotlyServerURL: "",  // what is in a page stays there
  });
  const box = plot.parentElement.querySelector("input.log");
  if (box.checked) setScale(plot, true);
}

const stored = document.getElementById("figures");
const figures = stored ? JSON.parse(stored.textContent) : [];
const plots = [...document.querySelectorAll(".plot")];

async function start() {
  if (!plots.length) return;
  try {
    await unpack();
  } catch (error) {
    for (const plot of plots) plot.textContent = `This browser cannot draw curves: ${error}`;
    return;
  }
  // Far more charts than fit on a screen would keep the page from answering.
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) draw(entry.target);
  }, { rootMargin: "800px" });
  for (const plot of plots) watch.observe(plot);
  addEventListener("beforeprint", () => {
    for (const plot of plots.filter((one) => one.offsetParent)) {
      draw(plot);
      const chart = plot.parentElement;  // keeps on paper the width it was drawn with
      chart.style.width = `${chart.offsetWidth}px`;
    }
  });
  addEventListener("afterprint", () => {
    for (const plot of plots) plot.parentElement.style.width = "";
  });
}

for (const box of document.querySelectorAll("input.log")) {
  box.addEventListener("change", () => {
    const plot = box.closest(".chart").querySelector(".plot");
    if (plot.dataset.drawn) setScale(plot, box.checked);
  });
}

for (const box of document.querySelectorAll("input.log-all")) {
  box.addEventListener("change", () => {
    const section = box.closest("h2").nextElementSibling;
    for (const one of section.querySelectorAll("input.log")) {
      if (one.checked !== box.checked) one.click();
    }
  });
}

for (const slider of document.querySelectorAll(".course input")) {
  const steps = JSON.parse(slider.dataset.steps);
  const figure = slider.closest("figure");
  slider.addEventListener("input", () => {
    const wanted = steps[slider.value];
    figure.querySelector("output").textContent = wanted;
    for (const part of figure.querySelectorAll(".beside > div")) {
      // Of each run, the last picture up to that step, or its first.
      const images = [...part.querySelectorAll("img[data-step]")];
      const past = images.filter((image) => Number(image.dataset.step) <= wanted);
      const shown = past.at(-1) ?? images[0];
      for (const image of images) image.hidden = image !== shown;
    }
  });
}

// A sheet that is wider than the page is shown at its own size, or twice it, when it is clicked.
for (const image of document.querySelectorAll(".course img")) {
  const width = Number(image.getAttribute("width"));
  image.addEventListener("click", () => {
    const whole = image.classList.toggle("whole");
    image.width = whole && width <= document.body.clientWidth ? 2 * width : width;
  });
}

start();
