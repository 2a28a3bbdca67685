// Asks for what a commercial player needs, keeps it in this browser, and loads the player's scripts.

/**
 * Shows a form in `place` until it has been filled in, then gives its values. They are remembered in localStorage under `name`, sent to
 * nobody, and asked for again after a click on `change`.
 */
export async function askForLicence({ name, place, change, text, fields }) {
  const key = `p2p-media-example-${name}`;
  const known = readValues(key);
  change.addEventListener("click", () => {
    localStorage.removeItem(key);
    location.reload();
  });
  if (known) {
    change.hidden = false;
    return known;
  }
  return new Promise((resolve) => {
    place.classList.add("needs-licence");
    const form = place.appendChild(document.createElement("form"));
    form.className = "licence";
    const words = form.appendChild(document.createElement("p"));
    words.textContent = text;
    for (const { id, label, value = "", required = false, placeholder = "" } of fields) {
      const row = form.appendChild(document.createElement("label"));
      row.append(label);
      const input = row.appendChild(document.createElement("input"));
      Object.assign(input, { name: id, value, required, placeholder, autocomplete: "off", spellcheck: false });
    }
    const button = form.appendChild(document.createElement("button"));
    button.textContent = "Load the player";
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const values = Object.fromEntries(new FormData(form));
      localStorage.setItem(key, JSON.stringify(values));
      form.remove();
      place.classList.remove("needs-licence");
      change.hidden = false;
      resolve(values);
    });
  });
}

/** Loads a classic script. */
export function loadScript(url) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = url;
    script.onload = resolve;
    script.onerror = () => reject(new Error(`${url} cannot be loaded`));
    document.head.append(script);
  });
}

/** Loads a style sheet. */
export function loadStyle(url) {
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = url;
  document.head.append(link);
}

function readValues(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}
