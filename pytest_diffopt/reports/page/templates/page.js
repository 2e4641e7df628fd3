"use strict";
(() => {
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];
  const cases = all("details.case[id]");
  const controls = document.getElementById("controls");
  const search = document.getElementById("search");
  const shown = document.getElementById("shown");
  const toggles = all("#controls input[type=checkbox]");

  // The search includes the text of closed cases, such as files and functions.
  const texts = new Map(cases.map((one) => [one, one.textContent.toLowerCase()]));

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const outcomes = new Set(toggles.filter((one) => one.checked).map((one) => one.value));
    let count = 0;
    for (const one of cases) {
      const text = texts.get(one);
      one.hidden = !(outcomes.has(one.dataset.outcome) && words.every((word) => text.includes(word)));
      count += one.hidden ? 0 : 1;
    }
    for (const section of all("section.pipeline")) {
      section.hidden = all("details.case:not([hidden])", section).length === 0;
    }
    shown.textContent = count === cases.length ? "" : `${count} of ${cases.length} shown`;
  }

  function setOpen(isOpen) {
    for (const one of cases) {
      if (!one.hidden) one.open = isOpen;
    }
  }

  // A link to a closed or hidden case opens and shows it.
  function openTarget() {
    const target = location.hash ? document.getElementById(location.hash.slice(1)) : null;
    if (target && target.matches("details.case")) {
      target.hidden = false;
      const section = target.closest("section");
      if (section) section.hidden = false;
      target.open = true;
      target.scrollIntoView();
    }
  }

  // Overlay the image on its reference, with a movable edge between them and a button that switches between both.
  function addSlider(images) {
    const [reference, image] = all("img", images);
    if (!reference || !image || all("img", images).length < 2 || !images.querySelector(".image.image img")) return;
    const figure = document.createElement("figure");
    figure.className = "slider";
    const stage = document.createElement("div");
    stage.className = "stage";
    const over = image.cloneNode();
    over.classList.add("over");
    const edge = document.createElement("div");
    edge.className = "edge";
    stage.append(reference.cloneNode(), over, edge);
    const range = document.createElement("input");
    range.type = "range";
    range.min = "0";
    range.max = "100";
    range.value = "50";
    range.setAttribute("aria-label", "visible share of the reference, in percent");
    const flip = document.createElement("button");
    flip.type = "button";
    flip.className = "flip";
    flip.textContent = "flip";
    flip.title = "switch between reference and image";
    const caption = document.createElement("figcaption");
    caption.append(flip, "reference | image");
    const place = () => {
      over.style.clipPath = `inset(0 0 0 ${range.value}%)`;
      edge.style.left = `${range.value}%`;
    };
    range.addEventListener("input", place);
    flip.addEventListener("click", () => {
      range.value = range.value === "0" ? "100" : "0";
      place();
    });
    place();
    figure.append(stage, range, caption);
    images.append(figure);
  }

  // Show one frame of a filmstrip in each of its rows, chosen with a slider or played in a loop.
  function addScrubber(filmstrip) {
    const strip = filmstrip.querySelector("img");
    const columns = Number(filmstrip.dataset.columns);
    const figure = document.createElement("figure");
    figure.className = "scrubber";
    const stage = document.createElement("div");
    stage.className = "stage";
    const window_ = strip.cloneNode();
    window_.removeAttribute("width");
    window_.removeAttribute("height");
    window_.style.width = `${100 * columns}%`;
    stage.append(window_);
    const range = document.createElement("input");
    range.type = "range";
    range.min = "0";
    range.max = String(columns - 1);
    range.value = "0";
    range.setAttribute("aria-label", "frame");
    const play = document.createElement("button");
    play.type = "button";
    play.className = "play";
    play.textContent = "play";
    const caption = document.createElement("figcaption");
    const number = document.createElement("output");
    caption.append(play, number);
    const show = () => {
      window_.style.marginLeft = `${-100 * Number(range.value)}%`;
      number.textContent = `frame ${range.value} of ${columns}`;
    };
    let timer = 0;
    const stop = () => {
      clearInterval(timer);
      timer = 0;
      play.textContent = "play";
    };
    play.addEventListener("click", () => {
      if (timer) {
        stop();
        return;
      }
      play.textContent = "pause";
      timer = setInterval(() => {
        range.value = String((Number(range.value) + 1) % columns);
        show();
      }, 125);
    });
    range.addEventListener("input", () => {
      stop();
      show();
    });
    show();
    figure.append(stage, range, caption);
    filmstrip.after(figure);
  }

  all(".images").forEach(addSlider);
  all(".filmstrip").forEach(addScrubber);
  if (cases.length) controls.hidden = false;
  search.addEventListener("input", filter);
  toggles.forEach((one) => one.addEventListener("change", filter));
  document.getElementById("open-all").addEventListener("click", () => setOpen(true));
  document.getElementById("close-all").addEventListener("click", () => setOpen(false));
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target instanceof HTMLInputElement && event.target.type === "search";
    if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      search.focus();
    }
    if (event.key === "Escape" && isTyping) {
      search.value = "";
      filter();
    }
  });
  window.addEventListener("beforeprint", () => {
    for (const one of cases) {
      if (one.matches(".failed")) one.open = true;
    }
  });
  window.addEventListener("hashchange", openTarget);
  openTarget();
})();
