// Draws a Plotly figure in place: what a reader did to it (zoom, hidden traces, moved axes) outlives new data.
// A click on a dot, or the arrow keys and Enter, tell which trial was meant; ranges on parallel axes are told as well.

function library(url) {
  window.vtunePlotly ??= new Promise((done, fail) => {
    const script = document.createElement("script");
    script.src = url;
    script.onload = () => done(window.Plotly);
    script.onerror = () => fail(new Error("The charts could not be loaded. Reload the page."));
    document.head.append(script);
  });
  return window.vtunePlotly;
}

function trialOf(trace, index) {
  const row = trace?.customdata?.[index];
  const value = row?.length === undefined ? row : row[0];
  return Number.isFinite(value) ? value : null;
}

// All dots that stand for trials, from left to right.
function places(chart) {
  const found = [];
  chart._fullData.forEach((trace, curveNumber) => {
    if (trace.visible !== true || !trace.customdata) return;
    for (let pointNumber = 0; pointNumber < trace.customdata.length; pointNumber++)
      if (trialOf(trace, pointNumber) !== null) found.push({ curveNumber, pointNumber, x: +trace.x[pointNumber] });
  });
  return found.sort((a, b) => a.x - b.x);
}

function listen(chart, Plotly) {
  let at = -1;
  chart.on("plotly_click", ({ points }) => {
    const trial = points.map((point) => trialOf(point.fullData, point.pointNumber)).find((each) => each !== null);
    if (trial !== undefined) chart.tell("clicked", trial);
  });
  chart.on("plotly_selected", (event) => {
    const trials = event?.points?.map((point) => trialOf(point.fullData, point.pointNumber)).filter((t) => t !== null);
    if (trials?.length) chart.tell("boxed", [...new Set(trials)]);
  });
  chart.on("plotly_restyle", () => {
    const axes = chart.data[0]?.dimensions;
    if (axes) chart.tell("ranges", axes.map((axis) => [axis.label, axis.constraintrange ?? null]));
  });
  chart.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.target !== chart || (!step && event.key !== "Enter")) return;
    const dots = places(chart);
    if (!dots.length) return;
    event.preventDefault();
    if (step) at = (at + step + dots.length) % dots.length;
    const dot = dots[Math.min(Math.max(at, 0), dots.length - 1)], trace = chart._fullData[dot.curveNumber];
    if (step) {
      const { curveNumber, pointNumber } = dot;
      Plotly.Fx.hover(chart, [{ curveNumber, pointNumber }]);
      chart.nextElementSibling.textContent = `trial ${trialOf(trace, pointNumber)}, ${trace.name}`;
    } else chart.tell("clicked", trialOf(trace, dot.pointNumber));
  });
  chart.watcher = new ResizeObserver(() => chart.offsetWidth && Plotly.Plots.resize(chart));
  chart.watcher.observe(chart);
}

export default function ({ parentElement, data, setTriggerValue }) {
  const chart = parentElement.querySelector(".vtune-chart");
  const { figure, about, picked, source } = JSON.parse(new TextDecoder().decode(data));
  chart.tell = setTriggerValue;
  chart.dataset.busy = Number(chart.dataset.busy ?? 0) + 1;
  chart.style.height = `${figure.layout.height ?? 450}px`;
  chart.setAttribute("aria-label", picked ? `${about}. Arrow keys go from trial to trial, Enter opens one.` : about);
  chart.tabIndex = picked ? 0 : -1;
  const config = {
    displaylogo: false,
    modeBarButtonsToRemove: ["autoScale2d", "lasso2d", ...(picked ? [] : ["select2d"])],
    modeBarButtonsToAdd: picked ? ["select2d"] : [],
  };
  library(source)
    .then(async (Plotly) => {
      await Plotly.react(chart, figure.data, figure.layout, config);
      if (!chart.watcher) listen(chart, Plotly);
      chart.dataset.drawn = Number(chart.dataset.drawn ?? 0) + 1;
    })
    .catch((error) => { chart.textContent = error.message; })
    .finally(() => { if (--chart.dataset.busy < 1) delete chart.dataset.busy; });
  return () => {
    chart.watcher?.disconnect();
    window.Plotly?.purge(chart);
  };
}
