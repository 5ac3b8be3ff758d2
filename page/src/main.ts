/** Starts the page. */
import { App } from "./app.js";

const app = new App();
Object.defineProperty(globalThis, "avatarPage", { value: app }); // for consoles and `tools/measure_page.py`
addEventListener("pagehide", () => app.stop());
void app.open();
