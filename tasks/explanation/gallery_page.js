"use strict";

// A card is one image as one backbone's fold sees it. All arrays in `cards` and `maps` go by the number of the card.
const data = JSON.parse(document.getElementById("data").textContent);
const { images, cards, maps } = data;
const CARD = 168; // pixels, about; cards fill the width
const TILE = [130, 224]; // pixels of a picture side by side with others, at least and at most
const GAP = 16;
const CAPTION = 18 * (data.notes.length ? 5 : 4);
const PER_SHEET = data.onASide ** 2;
const judged = cards.right.some((right) => right >= 0); // else the images have no labels

const byId = (id) => document.getElementById(id);
const shownNumber = new Intl.NumberFormat("en");
const numbered = (n, thing) => `${shownNumber.format(n)} ${thing}${n === 1 ? "" : "s"}`;

const limited = (value, [least, most]) => Math.min(Math.max(value, least), most);

function bytes(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

function element(tag, classes, ...content) {
  const made = document.createElement(tag);
  made.className = classes;
  made.append(...content);
  return made;
}

// --- blocks, decoded when seen; those used last are kept ---

class Kept {
  constructor(limit, make) {
    Object.assign(this, { limit, make, values: new Map() });
  }

  get(key) {
    const value = this.values.has(key) ? this.values.get(key) : this.make(key);
    this.values.delete(key);
    this.values.set(key, value);
    if (this.values.size > this.limit) this.values.delete(this.values.keys().next().value);
    return value;
  }
}

const sheets = new Kept(80, async (number) => {
  const sheet = new Image();
  sheet.src = `data:image/jpeg;base64,${byId(`sheet${number}`).textContent}`;
  await sheet.decode();
  return sheet;
});
const heats = new Kept(96, (number) => bytes(byId(`maps${number}`).textContent));
const colours = bytes(data.colours);
const legend = new ImageData(256, 1);
for (let place = 0; place < 256; place += 1) {
  legend.data.set([...colours.subarray(3 * place, 3 * place + 3), 255], 4 * place);
}
const inks = new Uint32Array(legend.data.buffer);

async function drawPhoto(canvas, image) {
  const sheet = await sheets.get(Math.floor(image / PER_SHEET));
  const place = image % PER_SHEET;
  const left = (place % data.onASide) * data.side + data.margin;
  const top = Math.floor(place / data.onASide) * data.side + data.margin;
  const [width, height] = [images.width[image], images.height[image]];
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").drawImage(sheet, left, top, width, height, 0, 0, width, height);
}

/** The map of a card as numbers from 0 to 255, or null where there is none. */
function heatOf(card, method) {
  const { shape, at } = maps[method];
  if (shape[card] < 0) return null;
  const [rows, columns] = data.shapes[shape[card]];
  const block = heats.get(Math.floor(cards.image[card] / PER_SHEET));
  return { rows, columns, values: block.subarray(at[card], at[card] + rows * columns) };
}

/** For each of `n` places along an axis: the two values between which it lies, and how far it is from the first. */
function between(n, values) {
  const at = Array.from({ length: n }, (_, place) => limited(((place + 0.5) * values) / n - 0.5, [0, values - 1]));
  const first = Int32Array.from(at);
  return { first, second: first.map((value) => Math.min(value + 1, values - 1)), share: at.map((value, n) => value - first[n]) };
}

/** Interpolates the map to a multiple of the photo's size, then colours it: colours in between are on no colour map. */
function drawHeat(canvas, { rows, columns, values }, image, longest) {
  const scale = Math.max(Math.round(longest / Math.max(images.width[image], images.height[image])), 1);
  const [width, height] = [scale * images.width[image], scale * images.height[image]];
  const pixels = new ImageData(width, height);
  const dots = new Uint32Array(pixels.data.buffer);
  const [across, down] = [between(width, columns), between(height, rows)];
  const line = new Float64Array(columns);
  for (let y = 0; y < height; y += 1) {
    const [above, below, share] = [columns * down.first[y], columns * down.second[y], down.share[y]];
    for (let x = 0; x < columns; x += 1) line[x] = values[above + x] * (1 - share) + values[below + x] * share;
    for (let x = 0; x < width; x += 1) {
      const value = line[across.first[x]] * (1 - across.share[x]) + line[across.second[x]] * across.share[x];
      dots[y * width + x] = inks[Math.min(Math.floor((value * 256) / 255), 255)];
    }
  }
  Object.assign(canvas, { width, height });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** A picture, with a card's map over it where a card and a method are given. */
function picture(image, size, card = null, method = null) {
  const outcome = card === null || !judged ? "" : cards.right[card] ? "right" : "wrong";
  const photo = element("canvas", "photo");
  const box = element("div", `picture ${outcome}`, photo);
  if (card !== null) {
    const heat = heatOf(card, method);
    if (heat) {
      const layer = element("canvas", "heat");
      drawHeat(layer, heat, image, size * devicePixelRatio);
      box.append(layer);
    }
    if (!heat) box.append(element("div", "empty", "no map"));
    else if (!heat.values.some((value) => value > 0)) box.append(element("div", "empty", "shows nothing"));
    else if (heat.values.every((value) => value === heat.values[0])) box.append(element("div", "empty", "the same everywhere"));
  }
  drawPhoto(photo, image).then(() => (box.dataset.drawn = "yes"));
  return box;
}

// --- words ---

const decision = (number) => data.decisions[number].map((label) => data.labels[label]).join(", ");
const percent = (share) =>
  share < 0.995 ? `${Math.round(100 * share)} %` : `${(Math.floor(1000 * share) / 10).toFixed(1)} %`;

function mark(card) {
  const right = cards.right[card];
  return element("span", `mark ${right ? "right" : "wrong"}`, right ? "✓ right" : "✗ wrong");
}

function caption(card, method, lines) {
  const box = element("div", "caption", ...lines);
  const note = maps[method]?.note[card] ?? -1;
  if (note >= 0) box.append(element("div", "soft", data.notes[note]));
  for (const line of box.children) line.title = line.textContent;
  return box;
}

function sentence(card) {
  const told = element("b", "", decision(cards.predicted[card]));
  return judged ? element("div", "", mark(card), " ", told) : element("div", "", told);
}

function certainty(card, place) {
  return element("div", "", [percent(cards.probability[card]), place].filter(Boolean).join(" · "));
}

const backboneOf = (card) => data.backbones[cards.backbone[card]];
const foldOf = (card) => data.folds[cards.fold[card]] && `fold ${data.folds[cards.fold[card]]}`;

// --- the grid: only the rows in view are in the page ---

const all = cards.image.map((_, card) => card);
const cardsOf = new Map();
for (const card of all) {
  const image = cards.image[card];
  if (!cardsOf.has(image)) cardsOf.set(image, []);
  cardsOf.get(image).push(card);
}
let shown = [];
let selected = 0;
let columns = 1;
let size = CARD;
let row = CARD + CAPTION + 2 * GAP;
let method = 0;
const drawn = new Map();

function makeCard(place) {
  const card = shown[place];
  const image = cards.image[card];
  const made = element("div", "card", picture(image, size, card, method));
  made.append(
    caption(card, method, [
      sentence(card),
      cards.right[card] ? certainty(card, foldOf(card)) : element("div", "", `true: ${decision(cards.true[card])}`),
      cards.right[card] ? element("div", "", backboneOf(card)) : certainty(card, `${backboneOf(card)} · ${foldOf(card)}`),
      element("div", "soft", images.name[image]),
    ]),
  );
  made.dataset.place = place;
  made.style.left = `${(place % columns) * (size + GAP)}px`;
  made.style.top = `${Math.floor(place / columns) * row + GAP / 2}px`;
  made.classList.toggle("selected", place === selected);
  return made;
}

function render() {
  const top = byId("grid").getBoundingClientRect().top;
  const first = columns * Math.max(Math.floor(-top / row) - 1, 0);
  const end = Math.min(columns * (Math.ceil((innerHeight - top) / row) + 1), shown.length);
  for (const [place, made] of drawn) {
    if (place >= first && place < end) continue;
    made.remove();
    drawn.delete(place);
  }
  for (let place = first; place < end; place += 1) {
    if (drawn.has(place)) continue;
    drawn.set(place, makeCard(place));
    byId("grid").append(drawn.get(place));
  }
}

function layOut() {
  for (const made of drawn.values()) made.remove();
  drawn.clear();
  const width = byId("grid").clientWidth + GAP;
  columns = Math.max(Math.round(width / (CARD + GAP)), 1);
  size = Math.floor(width / columns) - GAP;
  row = size + CAPTION + 2 * GAP;
  byId("grid").style.setProperty("--size", `${size}px`);
  byId("grid").style.height = `${Math.ceil(shown.length / columns) * row}px`;
  render();
}

function select(place) {
  drawn.get(selected)?.classList.remove("selected");
  selected = limited(place, [0, Math.max(shown.length - 1, 0)]);
  drawn.get(selected)?.classList.add("selected");
}

function bringIntoView() {
  const sticky = getComputedStyle(byId("tools")).position === "sticky" ? byId("tools").offsetHeight : 0;
  const top = byId("grid").getBoundingClientRect().top + Math.floor(selected / columns) * row;
  if (top < sticky) scrollBy(0, top - sticky);
  else if (top + row > innerHeight) scrollBy(0, Math.min(top + row - innerHeight, top - sticky));
  render();
}

// --- filters ---

const ORDERS = {
  mistakes: (a, b) => cards.right[a] - cards.right[b] || cards.probability[b] - cards.probability[a] || a - b,
  surest: (a, b) => cards.probability[b] - cards.probability[a] || a - b,
  unsure: (a, b) => cards.probability[a] - cards.probability[b] || a - b,
  image: (a, b) => cards.image[a] - cards.image[b] || a - b,
};

function asked() {
  const value = (id) => byId(id).value;
  const number = (id) => (value(id) === "" ? null : Number(value(id)));
  const share = (id, otherwise) => (value(id) === "" ? otherwise : Number(value(id)) / 100);
  return {
    has: [["true", number("true")], ["predicted", number("predicted")]].filter(([, label]) => label !== null),
    is: ["backbone", "fold"].map((name) => [name, number(name)]).filter(([, wanted]) => wanted !== null),
    right: number("outcome"),
    low: share("low", 0),
    high: share("high", 1),
    name: value("name").toLowerCase(),
  };
}

function fits(card, { has, is, right, low, high, name }) {
  const probability = cards.probability[card];
  return (
    probability >= low &&
    probability <= high &&
    (right === null || cards.right[card] === right) &&
    is.every(([column, wanted]) => cards[column][card] === wanted) &&
    has.every(([column, label]) => data.decisions[cards[column][card]].includes(label)) &&
    images.name[cards.image[card]].toLowerCase().includes(name)
  );
}

function refresh() {
  const filters = asked();
  method = Number(byId("method").value);
  shown = all.filter((card) => fits(card, filters)).sort(ORDERS[byId("order").value]);
  const nImages = new Set(shown.map((card) => cards.image[card])).size;
  byId("count").textContent =
    `${shownNumber.format(shown.length)} of ${numbered(all.length, "prediction")}, ${numbered(nImages, "image")}`;
  byId("none").hidden = shown.length > 0;
  selected = 0;
  layOut();
}

// --- one image as every backbone and method shows it ---

/** Pixels of a picture so that `n` of them stand side by side, as far as that leaves them large enough. */
function tileSize(n) {
  const room = Math.min(0.96 * innerWidth, 1440) - 60 - (data.methods.length > 1 ? 110 : 20);
  return limited(Math.floor(room / n) - 13, TILE);
}

function showDetail() {
  const chosen = shown[selected];
  const image = cards.image[chosen];
  const own = cardsOf.get(image);
  byId("detail-name").textContent = images.name[image];
  byId("detail-true").replaceChildren(
    ...(judged ? ["true: ", element("b", "", decision(cards.true[chosen])), " · "] : []),
    `${shownNumber.format(selected + 1)} of ${numbered(shown.length, "prediction")}`,
  );
  const head = element("tr", "", element("th", "", data.methods.length > 1 ? "method" : ""), element("th", "", "picture"));
  for (const card of own) {
    const lines = [element("div", "", element("b", "", backboneOf(card)), foldOf(card) && ` · ${foldOf(card)}`)];
    lines.push(sentence(card), element("div", "", `confidence ${percent(cards.probability[card])}`));
    head.append(element("th", "", caption(card, -1, lines)));
  }
  const body = element("tbody", "");
  const tile = tileSize(own.length + 1);
  byId("detail-table").style.setProperty("--tile", `${tile}px`);
  data.methods.forEach((name, number) => {
    const line = element("tr", "", element("th", "", data.methods.length > 1 ? name : ""));
    line.append(number === 0 ? element("td", "", picture(image, tile)) : element("td", ""));
    for (const card of own) {
      const cell = element("td", card === chosen ? "chosen" : "", picture(image, tile, card, number));
      cell.append(caption(card, number, []));
      line.append(cell);
    }
    body.append(line);
  });
  byId("detail-table").replaceChildren(element("thead", "", head), body);
  byId("detail-table").dataset.image = image;
  if (byId("detail").open) return;
  byId("detail").showModal();
  byId("close").focus();
}

function step(by) {
  if (!shown.length) return;
  select(selected + by);
  bringIntoView();
  if (byId("detail").open) showDetail();
}

// --- strength, keys, start ---

let lastStrength = 100 * data.strength;

function setStrength(value) {
  byId("strength").value = value;
  byId("percent").textContent = `${Math.round(value)} %`;
  document.documentElement.style.setProperty("--strength", value / 100);
}

function toggleMaps() {
  const now = Number(byId("strength").value);
  if (now > 0) lastStrength = now;
  setStrength(now > 0 ? 0 : lastStrength || 40);
}

const KEYS = {
  ArrowRight: () => step(1),
  ArrowLeft: () => step(-1),
  ArrowDown: () => step(byId("detail").open ? 1 : columns),
  ArrowUp: () => step(byId("detail").open ? -1 : -columns),
  Home: () => step(-shown.length),
  End: () => step(shown.length),
  Enter: () => shown.length && showDetail(),
  m: toggleMaps,
  M: toggleMaps,
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || !(event.key in KEYS)) return;
  const typing = event.target.matches("input, select");
  if (typing || (event.key === "Enter" && (event.target.matches("button, summary") || byId("detail").open))) return;
  event.preventDefault();
  KEYS[event.key]();
});

// What is chosen with the pointer gives the keys back to the pictures.
let pointing = false;
document.addEventListener("pointerdown", () => (pointing = true), true);
document.addEventListener("keydown", () => (pointing = false), true);
byId("tools").addEventListener("change", (event) => pointing && event.target.matches("select, [type=range]") && event.target.blur());

function addOptions(id, names, everything) {
  if (everything) byId(id).add(new Option(everything, ""));
  names.forEach((name, number) => byId(id).add(new Option(name, number)));
  byId(id).parentElement.hidden = names.length < 2;
}

function reset() {
  byId("tools").reset();
  setStrength(100 * data.strength);
  refresh();
}

// In a small frame the filters are folded up, so that there is room for pictures; in a large one they stay in view.
const roomy = matchMedia("(min-height: 620px) and (min-width: 760px)");
const foldFilters = () => (byId("filters").open = roomy.matches);
roomy.addEventListener("change", foldFilters);
foldFilters();

addOptions("true", data.labels, "all");
addOptions("predicted", data.labels, "all");
addOptions("backbone", data.backbones, "all");
addOptions("fold", data.folds, "all");
addOptions("method", data.methods, "");
if (!judged) {
  for (const id of ["true", "outcome"]) byId(id).parentElement.hidden = true;
  byId("order").remove(0); // mistakes first
}

byId("legend").getContext("2d").putImageData(legend, 0, 0);

byId("tools").addEventListener("submit", (event) => event.preventDefault());
byId("tools").addEventListener("input", (event) => event.target.id === "strength" ? setStrength(event.target.value) : refresh());
byId("reset").addEventListener("click", reset);
byId("previous").addEventListener("click", () => step(-1));
byId("next").addEventListener("click", () => step(1));
byId("close").addEventListener("click", () => byId("detail").close());
byId("grid").addEventListener("click", (event) => {
  const card = event.target.closest(".card");
  if (!card) return;
  select(Number(card.dataset.place));
  showDetail();
});
addEventListener("scroll", render, { passive: true });
addEventListener("resize", layOut);

reset();
document.documentElement.dataset.ready = "yes";
