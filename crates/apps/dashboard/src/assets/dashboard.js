// Keeps what is marked `data-live` up to date, and spares people a little typing. Every page works without it.
"use strict";
(() => {
  // A page that shows a secret once was the answer to a form: a reload leads to where the thing is, and sends nothing again.
  const { place } = document.body.dataset;
  if (place) history.replaceState(null, "", place);

  for (const button of document.querySelectorAll("button[data-copy]")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = "Copied";
    });
  }

  const busy = (part) => part.contains(document.activeElement) || part.querySelector("details[open]");

  const refresh = async () => {
    const answer = await fetch(location.href, { redirect: "error", headers: { accept: "text/html" } });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = fresh.getElementById(part.id);
      if (next && !busy(part) && next.innerHTML !== part.innerHTML) part.replaceChildren(...next.childNodes);
    }
    document.body.dataset.refresh = fresh.body.dataset.refresh ?? "";
  };

  const again = () => {
    const seconds = Number(document.body.dataset.refresh);
    if (!seconds) return;
    setTimeout(async () => {
      if (!document.hidden) await refresh().catch(() => {});
      again();
    }, seconds * 1000);
  };
  again();
})();
