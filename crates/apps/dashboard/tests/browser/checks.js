// What a page must be for everybody to read and use it: run in the page by the tests, which it tells what it found.
// Numbers are those of WCAG 2.2: 1.4.3 (contrast of text), 1.4.11 (of controls and of the focus), 2.4.7 (focus visible).

const TEXT_MIN = 4.5, LARGE_MIN = 3, PART_MIN = 3;
const found = new Set();

// --- Who is who on the page.

const shown = (element) => {
  const box = element.getBoundingClientRect();
  return element.checkVisibility({ visibilityProperty: true }) && box.width > 1 && box.height > 1;
};
const named = (element) => {
  const words = (element.textContent || element.value || '').trim().replace(/\s+/g, ' ').slice(0, 40);
  const name = element.getAttribute('name');
  return `${element.localName}${element.className.baseVal === undefined && element.className ? '.' + element.className.split(' ').join('.') : ''}`
    + `${name ? `[name=${name}]` : ''} "${words}"`;
};

// --- Colours.

const colour = (text) => {
  const numbers = text.match(/^rgba?\(([\d., /]+)\)$/);
  if (!numbers) throw new Error(`a colour that is not understood: ${text}`);
  const [red, green, blue, alpha = 1] = numbers[1].split(/[ ,/]+/).map(Number);
  return { red, green, blue, alpha };
};
const over = (front, back) => {
  const mix = (one, other) => one * front.alpha + other * (1 - front.alpha);
  return { red: mix(front.red, back.red), green: mix(front.green, back.green), blue: mix(front.blue, back.blue), alpha: 1 };
};
const luminance = ({ red, green, blue }) => {
  const linear = (part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
};
const contrast = (one, other) => {
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
};
// What is seen behind an element's words: its ancestors' grounds, one over the other.
const ground = (element) => {
  const layers = [];
  for (let each = element; each; each = each.parentElement) {
    const style = getComputedStyle(each);
    if (style.backgroundImage !== 'none') found.add(`${named(each)}: words on a picture`);
    layers.push(colour(style.backgroundColor));
    if (layers.at(-1).alpha === 1) break;
  }
  const canvas = matchMedia('(prefers-color-scheme: dark)').matches ? colour('rgb(18, 18, 18)') : colour('rgb(255, 255, 255)');
  return layers.reduceRight((back, front) => over(front, back), canvas);
};
const faded = (element) => {
  let alpha = 1;
  for (let each = element; each; each = each.parentElement) alpha *= Number(getComputedStyle(each).opacity);
  return alpha;
};
const readable = (element, style, what) => {
  const back = ground(element);
  const ink = colour(element instanceof SVGElement ? style.fill : style.color);
  const ratio = contrast(over({ ...ink, alpha: ink.alpha * faded(element) }, back), back);
  const size = parseFloat(style.fontSize);
  const is_large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  const least = is_large ? LARGE_MIN : TEXT_MIN;
  if (ratio < least) found.add(`${what}: contrast ${ratio.toFixed(2)}, at least ${least}`);
};

for (const details of document.querySelectorAll('details')) details.open = true;

const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const seen = new Set();
while (words.nextNode()) {
  const element = words.currentNode.parentElement;
  if (!words.currentNode.data.trim() || seen.has(element) || !shown(element)) continue;
  if (['script', 'style', 'title', 'option'].includes(element.localName)) continue;
  seen.add(element);
  readable(element, getComputedStyle(element), named(element));
}
for (const element of document.querySelectorAll('body *')) {
  if (!shown(element)) continue;
  for (const part of ['::before', '::after']) {
    const style = getComputedStyle(element, part);
    if (!['none', 'normal', '""'].includes(style.content)) readable(element, style, `${named(element)}${part}`);
  }
  if (element.placeholder && !element.value) {
    readable(element, getComputedStyle(element, '::placeholder'), `${named(element)}::placeholder`);
  }
}

// --- Controls.

const controls = [...document.querySelectorAll('input:not([type=hidden]), select, textarea')];
for (const control of controls) {
  const label = [...control.labels].map((each) => each.textContent.trim()).join('') || control.getAttribute('aria-label');
  if (!label) found.add(`${named(control)}: no label`);
  if (!shown(control)) continue;
  readable(control, getComputedStyle(control), `${named(control)}: what is written in it`);
  if (['checkbox', 'radio'].includes(control.type)) continue;
  const back = ground(control.parentElement);
  const ratio = contrast(over(colour(getComputedStyle(control).borderTopColor), back), back);
  if (ratio < PART_MIN) found.add(`${named(control)}: contrast of its border ${ratio.toFixed(2)}, at least ${PART_MIN}`);
}
const usable = [...document.querySelectorAll('a[href], button, summary, input:not([type=hidden]), select, textarea, [tabindex]')];
for (const element of usable) {
  if (element.tabIndex > 0) found.add(`${named(element)}: out of the order of the page`);
  const pictures = [...element.querySelectorAll('img[alt]')].map((image) => image.alt).join('');
  const name = element.getAttribute('aria-label') || element.textContent.trim() || pictures || element.labels?.length;
  if (!name) found.add(`${named(element)}: no name`);
}
// A key was pressed last, so that the browser shows the focus as it does to those who use one.
const focused = document.activeElement;
for (const element of usable) {
  if (!shown(element) || element.tabIndex < 0) continue;
  element.focus({ preventScroll: true });
  const style = getComputedStyle(element);
  if (document.activeElement !== element) {
    found.add(`${named(element)}: takes no focus`);
  } else if (style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 2) {
    found.add(`${named(element)}: its focus is not seen`);
  } else {
    const back = ground(element.parentElement);
    const ratio = contrast(over(colour(style.outlineColor), back), back);
    if (ratio < PART_MIN) found.add(`${named(element)}: contrast of its focus ${ratio.toFixed(2)}, at least ${PART_MIN}`);
  }
}
focused?.focus({ preventScroll: true });

// --- The page as those hear it who do not see it.

for (const [what, count] of [['main', 1], ['h1', 1], ['title', 1]]) {
  const there = [...document.querySelectorAll(what)].filter((each) => what !== 'title' || each.parentElement === document.head);
  if (there.length !== count) found.add(`${there.length} of ${what}, not ${count}`);
}
if (!document.documentElement.lang) found.add('no language');
let level = 0;
for (const heading of document.querySelectorAll('h1, h2, h3, h4, h5, h6')) {
  const next = Number(heading.localName[1]);
  if (next > level + 1) found.add(`${named(heading)}: after a heading of level ${level}`);
  level = next;
}
for (const table of document.querySelectorAll('table')) {
  if (!table.caption?.textContent.trim()) found.add(`${named(table)}: no caption`);
  const heads = [...table.querySelectorAll('th')];
  if (!heads.length) found.add(`${named(table)}: no heading`);
  for (const head of heads) if (!head.scope) found.add(`${named(head)}: a heading of what`);
}
for (const picture of document.querySelectorAll('img:not([alt]), svg:not([aria-hidden=true]):not([role=img][aria-label])')) {
  if (!picture.querySelector?.('title')) found.add(`${named(picture)}: no words for it`);
}
const ids = [...document.querySelectorAll('[id]')].map((element) => element.id);
for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.add(`#${id} is there twice`);
for (const reference of ['aria-describedby', 'aria-labelledby', 'aria-controls', 'for']) {
  for (const element of document.querySelectorAll(`[${reference}]`)) {
    for (const id of element.getAttribute(reference).split(' ')) {
      if (!ids.includes(id)) found.add(`${named(element)}: ${reference} names #${id}, which is not there`);
    }
  }
}

// --- Room.

const page = document.documentElement;
if (page.scrollWidth > page.clientWidth) found.add(`${page.scrollWidth - page.clientWidth} wider than the screen`);

return [...found];
