/** The page: what its parts do together. */
import type { AvatarError, Pose, SessionClose, SessionEvent } from "@avatar-sdk/client";
import { AccessPanel } from "./access_panel.js";
import { Controls } from "./controls.js";
import { DemoPoses } from "./demo_poses.js";
import { DriverPanel } from "./driver_panel.js";
import { DemoDriver, type Driver, type DriverListener, ServerDriver, TrackedDriver } from "./drivers.js";
import { element } from "./elements.js";
import { MotionPanel } from "./motion_panel.js";
import { Notices } from "./notices.js";
import { Outputs } from "./outputs.js";
import { PicturePanel } from "./picture_panel.js";
import { Portraits } from "./portraits.js";
import { type PageInfo, pageInfo } from "./server_page.js";
import { Show } from "./show.js";
import { Stage } from "./stage.js";
import { StatisticsPanel } from "./statistics_panel.js";
import { Status } from "./status.js";
import { type Way, type Words, wordsFor, wordsForEnd } from "./words.js";

const RETRY_MS = 2000;

/** Composes the page; one per document. */
export class App implements DriverListener {
  readonly #stage = new Stage();
  readonly #status = new Status();
  readonly #statistics = new StatisticsPanel();
  readonly #notices = new Notices((way) => this.#take(way));
  readonly #motion = new MotionPanel(() => this.#show?.update(this.#moves()));
  readonly #picture = new PicturePanel(() => void this.#restart());
  readonly #drivers = new DriverPanel(() => void this.#changeDriver());
  readonly #portraits = new Portraits(
    () => void this.#portraitChanged(),
    (text) => this.#notices.show({ title: "That is no portrait", text, ways: ["portrait"] }),
  );
  readonly #outputs = new Outputs(
    (words) => this.#notices.toast(words),
    () => this.#paint(),
  );
  readonly #controls = new Controls({
    live: () => (this.#show || this.#starting ? this.stop() : void this.start()),
    calibrate: () => this.#calibrate(),
    mirror: (on) => {
      this.#stage.mirrored = on;
    },
    pause: (on) => this.#pause(on),
    record: () => this.#outputs.record(this.#show?.session ?? null),
    popout: () => this.#outputs.popOut(this.#show?.session ?? null),
    virtual: () => void this.#outputs.switchVirtualCamera(this.#show?.session ?? null),
    next: () => this.#portraits.next(),
  });
  readonly #access = new AccessPanel(() => void this.start());
  #info: PageInfo | null = null;
  #show: Show | null = null;
  #starting: AbortController | null = null;
  #started: Promise<void> = Promise.resolve();
  #demoPoses: DemoPoses | null = null;
  #renewing = false;
  #paused = false;
  #serverGone = false;

  /** Reads what the server offers and puts the sample portrait on the shelf. */
  async open(): Promise<void> {
    this.#stage.mirrored = true;
    this.#statistics.clear();
    this.#portraitChanged();
    await Promise.all([this.#reachServer(), this.#loadSample()]);
  }

  /** The run that is on; null between runs. For consoles and measuring. */
  get show(): Show | null {
    return this.#show;
  }

  /** Goes live with what is chosen; settles when it is, or when it was told why not. */
  start(): Promise<void> {
    this.#started = this.#start();
    return this.#started;
  }

  async #start(): Promise<void> {
    const portrait = this.#portraits.current;
    if (!portrait?.consent || this.#show || this.#starting) {
      return;
    }
    const starting = new AbortController();
    this.#starting = starting;
    this.#notices.hide();
    this.#status.show("Connecting…", "busy");
    this.#paint();
    try {
      const driver = await this.#driver();
      const options = {
        portrait: portrait.image,
        consent: true,
        framing: this.#picture.framing,
        background: this.#picture.background,
        ...this.#moves(),
        signal: starting.signal,
      };
      this.#begun(await Show.start(options, this.#access.token, driver, this.#stage));
    } catch (error) {
      if (!starting.signal.aborted) {
        this.#tell(wordsFor(error));
      }
      this.#status.show("Not live", "quiet");
    } finally {
      this.#starting = null;
      this.#paint();
    }
  }

  /** Ends the run, or gives up starting it. */
  stop(): void {
    this.#starting?.abort(new DOMException("stopped", "AbortError"));
    const show = this.#show;
    this.#show = null;
    show?.stop();
    this.#over();
  }

  pose(pose: Pose): void {
    this.#stage.showPose(pose);
  }

  error(error: AvatarError): void {
    this.#stage.showDriver(null, null);
    this.#tell(wordsFor(error));
  }

  #begun(show: Show): void {
    this.#show = show;
    const { session } = show;
    session.on("state", () => this.#paintState());
    session.on("event", (event) => this.#happened(event));
    session.on("stats", (stats) => this.#statistics.show(stats, show.driver.figures()));
    session.on("close", (close) => this.#closed(show, close));
    const off = session.on("frame", () => {
      off();
      this.#stage.live = true;
    });
    this.#outputs.follow(session);
    void this.#drivers.refresh();
    this.#paintState();
  }

  #happened({ kind }: SessionEvent): void {
    const toasts: Partial<Record<SessionEvent["kind"], string>> = {
      calibrated: "Calibrated: this is your neutral face.",
      severalFaces: "The photo shows several faces; the largest is used.",
      portraitChanged: "The portrait was changed.",
      resumed: "Connected again.",
      recreated: "The server had forgotten the avatar; it was made anew.",
    };
    const toast = toasts[kind];
    if (toast) {
      this.#notices.toast(toast);
    }
    if (kind === "recreated" && this.#show) {
      this.#outputs.follow(this.#show.session);
    }
  }

  #closed(show: Show, { reason, error }: SessionClose): void {
    if (this.#show !== show) {
      return; // it was stopped here
    }
    this.stop();
    const text = wordsForEnd(reason);
    this.#tell(error && !text ? wordsFor(error) : { title: "The avatar has ended", text, ways: ["again"] });
  }

  #over(): void {
    this.#paused = false;
    this.#outputs.end();
    this.#stage.live = false;
    this.#stage.veil = "";
    this.#stage.showDriver(null, null);
    this.#statistics.clear();
    this.#status.show("Not live", "quiet");
    this.#paint();
  }

  /** Anew with what is chosen now; changes that come meanwhile are taken together. */
  async #restart(): Promise<void> {
    if (this.#renewing || !(this.#show || this.#starting)) {
      return;
    }
    this.#renewing = true;
    await this.#started; // a session that is being made cannot be taken back at once
    this.#renewing = false;
    const session = this.#show?.session;
    if (session) {
      this.stop();
      await session.close(); // its slot may be the last
      await this.start();
    }
  }

  async #changeDriver(): Promise<void> {
    const show = this.#show;
    if (!show) {
      return;
    }
    this.#notices.hide();
    try {
      await show.drive(await this.#driver());
      this.#stage.showDriver(show.driver.label, show.driver.video);
      void this.#drivers.refresh();
    } catch (error) {
      this.error(error as AvatarError);
    }
  }

  async #driver(): Promise<Driver> {
    const choice = this.#drivers.choice;
    if (choice.kind === "demo") {
      this.#demoPoses ??= new DemoPoses(await (await fetch("./demo_poses.bin")).arrayBuffer());
      return new DemoDriver(this.#demoPoses, this);
    }
    return choice.kind === "tracked" ? new TrackedDriver(choice.camera, this) : new ServerDriver(choice.camera, this);
  }

  async #portraitChanged(): Promise<void> {
    this.#paint();
    const portrait = this.#portraits.current;
    const show = this.#show;
    if (!show || !portrait) {
      return;
    }
    if (!portrait.consent) {
      this.#notices.toast("Say first that the person shown agreed.");
      return;
    }
    try {
      await show.session.replacePortrait(portrait.image, { consent: true });
    } catch (error) {
      this.#tell(wordsFor(error));
    }
  }

  #calibrate(): void {
    if (this.#show) {
      this.#show.session.calibrate();
      this.#notices.toast("Look straight ahead for a second…");
    }
  }

  #pause(on: boolean): void {
    this.#paused = on;
    this.#show?.update({ paused: on });
    this.#paintState();
  }

  #moves() {
    return { gains: this.#motion.gains, smoothing: this.#motion.smoothing };
  }

  #take(way: Way): void {
    if (way === "portrait") {
      this.#portraits.pick();
    } else if (way === "token") {
      this.#access.ask();
    } else {
      if (way !== "again") {
        this.#drivers.choose(way === "demo" ? "demo" : "server");
      }
      void (this.#show ? this.#changeDriver() : this.start());
    }
  }

  #tell(words: Words): void {
    const possible = (way: Way) => way !== "server-tracking" || (this.#info?.server_tracking ?? false);
    this.#notices.show({ ...words, ways: words.ways.filter(possible) });
  }

  async #reachServer(): Promise<void> {
    const info = await pageInfo();
    if (info === null) {
      this.#serverGone = true;
      this.#tell({
        title: "The server is gone",
        text: "Nothing answers at this page's address. Start it with “avatar serve”; the page looks for it.",
        ways: [],
      });
      setTimeout(() => void this.#reachServer(), RETRY_MS);
      return;
    }
    if (this.#serverGone) {
      this.#serverGone = false;
      this.#notices.hide();
    }
    this.#info = info;
    this.#drivers.info = info;
    this.#controls.offerVirtualCamera(info.virtual_camera);
    element("server", HTMLElement).textContent = `Model ${info.model}, version ${info.version}.`;
    if (info.requires_token) {
      this.#access.show();
    }
  }

  async #loadSample(): Promise<void> {
    const answer = await fetch("./sample_portrait.webp");
    if (answer.ok) {
      this.#portraits.add(await answer.blob(), "Painted sample", true);
    }
  }

  #paintState(): void {
    if (this.#show) {
      this.#stage.veil = this.#status.session(this.#show.session.state, this.#paused);
    }
    this.#paint();
  }

  #paint(): void {
    const portrait = this.#portraits.current;
    const hint = !portrait
      ? "Choose a portrait."
      : !portrait.consent
        ? "Say that the person shown agreed, then go live."
        : this.#starting
          ? "One moment…"
          : "Ready when you are.";
    this.#stage.showStill(portrait?.address ?? null, hint);
    this.#controls.paint({
      live: this.#show !== null,
      starting: this.#starting !== null,
      ready: portrait?.consent ?? false,
      paused: this.#paused,
      recording: this.#outputs.recording,
      virtual: this.#outputs.virtual,
    });
  }
}
