// Keeps what is marked `data-live` up to date, and spares people a little typing. Every page works without it.
"use strict";
(() => {
  // No answer within this many milliseconds is none.
  const PATIENCE = 15_000;
  // Milliseconds after which a pointer that rests is about to click nothing.
  const POINTER_RESTS = 2_000;
  const COPIED_SHOWN = 2_000;

  // A page that shows a secret once was the answer to a form: a reload leads to where the thing is, and sends nothing again.
  const { place } = document.body.dataset;
  if (place) history.replaceState(null, "", place);

  // An address that somebody shares names only what was asked for.
  document.addEventListener("formdata", ({ target, formData }) => {
    if (target.method !== "get") return;
    for (const [name, value] of [...formData]) if (!value) formData.delete(name);
  });

  // A button chooses all of a list, and then none.
  document.documentElement.classList.add("scripted");
  document.addEventListener("click", ({ target }) => {
    const button = target.closest?.("button[data-choose]");
    if (!button) return;
    const boxes = [...button.form.elements].filter((box) => box.name === button.dataset.choose);
    const all = boxes.every((box) => box.checked);
    for (const box of boxes) box.checked = !all;
  });

  // A button copies what stands before it.
  if (navigator.clipboard) document.documentElement.classList.add("copies");
  document.addEventListener("click", async ({ target }) => {
    const button = target.closest?.("button[data-copy]");
    if (!button || button.dataset.copy) return;
    const words = [...button.childNodes];
    const copied = navigator.clipboard.writeText(button.previousElementSibling.textContent);
    button.dataset.copy = await copied.then(() => "Copied", () => "Not copied");
    button.textContent = button.dataset.copy;
    setTimeout(() => {
      button.replaceChildren(...words);
      button.dataset.copy = "";
    }, COPIED_SHOWN);
  });

  // Who points at a moment is told when it was on their own clock, too.
  document.addEventListener("pointerover", ({ target }) => {
    const time = target.closest?.("time[datetime]");
    if (!time || time.dataset.told) return;
    const here = new Date(time.dateTime).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
    time.title = [time.title, `${here} where you are`].filter(Boolean).join("\n");
    time.dataset.told = "yes";
  });

  // What somebody is at is left alone: it holds the focus, an open part, chosen words, or the pointer on its way to a click.
  let pointed = -Infinity;
  document.addEventListener("pointermove", () => { pointed = performance.now(); }, { passive: true });
  const busy = (part) => {
    const chosen = getSelection();
    return part.contains(document.activeElement)
      || part.querySelector("details[open]")
      || (!chosen.isCollapsed && chosen.containsNode(part, true))
      || (part.matches(":hover") && performance.now() - pointed < POINTER_RESTS);
  };

  // Takes over what changed. Of a part that somebody is at, only what is beside it; rows of a list belong together.
  const renew = (part, next) => {
    if (!next || part.isEqualNode(next)) return;
    if (!busy(part)) return part.replaceWith(next);
    const [own, others] = [[...part.children], [...next.children]];
    if (part.matches("table, ul, ol, dl, form") || own.length !== others.length) return;
    own.forEach((child, index) => renew(child, others[index]));
  };

  // Old numbers that look new are worse than none.
  const tell = (is_stale) => {
    const place = document.getElementById("stale");
    const words = document.getElementById("stale-words").content;
    if (is_stale !== place.hasChildNodes()) place.replaceChildren(...(is_stale ? [words.cloneNode(true)] : []));
  };

  const look = async () => {
    const signal = AbortSignal.timeout(PATIENCE);
    const answer = await fetch(location.href, { redirect: "error", headers: { accept: "text/html" }, signal });
    if (!answer.ok) throw new Error(answer.statusText);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live]")) renew(part, fresh.getElementById(part.id));
    document.body.dataset.refresh = fresh.body.dataset.refresh ?? "";
    const words = fresh.getElementById("stale-words");
    if (words) document.getElementById("stale-words").replaceWith(words);
  };

  let timer;
  const again = () => {
    const seconds = Number(document.body.dataset.refresh);
    clearTimeout(timer);
    if (seconds) timer = setTimeout(refresh, seconds * 1000);
  };
  const refresh = async () => {
    clearTimeout(timer);
    if (document.hidden) return;
    await look().then(() => tell(false), () => tell(true));
    again();
  };
  // Who comes back to a page sees what is so now.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && Number(document.body.dataset.refresh)) refresh();
  });
  again();
})();
