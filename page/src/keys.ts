/** The keyboard: one letter, one action, wherever nobody is typing. */

/** What keys do. */
export type KeyActions = Readonly<Record<string, () => void>>;

const TYPED_INTO =
  'select, textarea, input:not([type="range"], [type="checkbox"], [type="radio"], [type="color"], [type="file"])';

/** Listens for as long as the page lives. */
export function listenForKeys(actions: KeyActions): void {
  document.addEventListener("keydown", (event) => {
    const { target, key } = event;
    const act = actions[key.length === 1 ? key.toLowerCase() : key];
    if (
      !act ||
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      event.repeat ||
      document.querySelector("dialog[open]")
    ) {
      return;
    }
    // letters typed into a field are not for us, and a space on a control is the control's own
    const within = target instanceof HTMLElement ? target : document.body;
    const types = within.matches(TYPED_INTO);
    const presses = key === " " && within.matches("button, summary, a, input");
    if (!types && !presses) {
      event.preventDefault();
      act();
    }
  });
}
