/** The page's elements by their ids, each of the kind it must be. */

/** @throws Error the page has no such element. */
export function element<Kind extends Element>(id: string, kind: abstract new () => Kind): Kind {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) {
    throw new Error(`the page has no ${kind.name} with the id ${id}`);
  }
  return found;
}

/** A button's two sides: what it shows and whether it is on. */
export function press(button: HTMLButtonElement, pressed: boolean, label?: string): void {
  button.setAttribute("aria-pressed", String(pressed));
  if (label !== undefined) {
    const text = button.querySelector("span");
    if (text) {
      text.textContent = label;
    }
  }
}
