/** The portraits at hand: the sample, and what the user picks or drops. */
import { element } from "./elements.js";

const KINDS = ["image/jpeg", "image/png", "image/webp"];

/** One portrait. */
export interface Portrait {
  name: string;
  image: Blob;
  /** Of the image, for the page. */
  address: string;
  /** Whether its person agreed, or is nobody. */
  consent: boolean;
  /** Painted by the project: nobody real. */
  sample: boolean;
}

/** The shelf of portraits, one of which is chosen. */
export class Portraits {
  readonly #shelf = element("shelf", HTMLElement);
  readonly #file = element("file", HTMLInputElement);
  readonly #consent = element("consent", HTMLInputElement);
  readonly #consentText = element("consent-text", HTMLElement);
  readonly #drop = element("drop", HTMLElement);
  readonly #chosen: () => void;
  readonly #refused: (words: string) => void;
  readonly #all: Portrait[] = [];
  #index = -1;

  /** @param chosen Another portrait was chosen, or its consent changed. @param refused A file was no picture. */
  constructor(chosen: () => void, refused: (words: string) => void) {
    this.#chosen = chosen;
    this.#refused = refused;
    element("add", HTMLButtonElement).addEventListener("click", () => this.pick());
    this.#file.addEventListener("change", () => this.#take(this.#file.files));
    this.#consent.addEventListener("change", () => {
      if (this.current) {
        this.current.consent = this.#consent.checked;
        this.#chosen();
      }
    });
    this.#shelf.addEventListener("keydown", (event) => this.#walk(event));
    this.#listenForDrops();
  }

  /** The chosen one; null before there is any. */
  get current(): Portrait | null {
    return this.#all[this.#index] ?? null;
  }

  get count(): number {
    return this.#all.length;
  }

  /** Puts a portrait on the shelf and chooses it. */
  add(image: Blob, name: string, sample = false): void {
    const address = URL.createObjectURL(image);
    this.#all.push({ name, image, address, consent: sample, sample });
    this.choose(this.#all.length - 1);
  }

  choose(index: number): void {
    this.#index = index;
    this.#paint();
    this.#chosen();
  }

  /** The next one round the shelf. */
  next(): void {
    if (this.#all.length > 1) {
      this.choose((this.#index + 1) % this.#all.length);
    }
  }

  /** Opens the system's file picker. */
  pick(): void {
    this.#file.click();
  }

  #take(files: FileList | null | undefined): void {
    for (const file of files ?? []) {
      if (KINDS.includes(file.type)) {
        this.add(file, file.name);
      } else {
        this.#refused(`${file.name} is no JPEG, PNG or WebP picture.`);
      }
    }
    this.#file.value = "";
  }

  #paint(): void {
    const buttons = this.#all.map((portrait, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("role", "radio");
      button.setAttribute("aria-checked", String(index === this.#index));
      button.setAttribute("aria-label", portrait.name);
      button.tabIndex = index === this.#index ? 0 : -1;
      const image = document.createElement("img");
      image.src = portrait.address;
      image.alt = "";
      button.append(image);
      button.addEventListener("click", () => this.choose(index));
      return button;
    });
    const focused = this.#shelf.contains(document.activeElement);
    this.#shelf.replaceChildren(...buttons);
    if (focused) {
      buttons[this.#index]?.focus();
    }
    const { consent = false, sample = false } = this.current ?? {};
    this.#consent.checked = consent;
    this.#consent.disabled = sample || this.current === null;
    this.#consentText.textContent = sample
      ? "This one is painted: nobody real is shown."
      : "The person shown agreed to this, or nobody real is shown.";
  }

  #walk(event: KeyboardEvent): void {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step && this.#all.length > 0) {
      event.preventDefault();
      this.choose((this.#index + step + this.#all.length) % this.#all.length);
    }
  }

  #listenForDrops(): void {
    const dragsFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    document.addEventListener("dragover", (event) => {
      if (dragsFiles(event)) {
        event.preventDefault();
        this.#drop.hidden = false;
      }
    });
    document.addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) {
        this.#drop.hidden = true;
      }
    });
    document.addEventListener("drop", (event) => {
      this.#drop.hidden = true;
      if (dragsFiles(event)) {
        event.preventDefault();
        this.#take(event.dataTransfer?.files);
      }
    });
  }
}
