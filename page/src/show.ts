/** One run of the avatar: a session, whoever drives it, and where it is seen. */
import { AvatarClient, type AvatarSession, type SessionOptions, type SessionUpdate } from "@avatar-sdk/client";
import type { Driver } from "./drivers.js";
import type { Stage } from "./stage.js";

/** A session that is driven and drawn, from `start` to `stop`. */
export class Show {
  readonly session: AvatarSession;
  #driver: Driver;
  readonly #detach: () => void;

  private constructor(session: AvatarSession, driver: Driver, canvas: HTMLCanvasElement) {
    this.session = session;
    this.#driver = driver;
    driver.session = session;
    this.#detach = session.attach(canvas);
  }

  /**
   * Starts driver and session beside each other; when one fails, the other is undone.
   *
   * @throws AvatarError what failed; the driver's error first, for it says what the user can do.
   */
  static async start(
    options: SessionOptions & { signal: AbortSignal },
    token: string,
    driver: Driver,
    stage: Stage,
  ): Promise<Show> {
    const client = new AvatarClient(location.origin, token ? { token } : {});
    const seen = async () => {
      await driver.start();
      stage.showDriver(driver.label, driver.video);
    };
    const [driving, opening] = await Promise.allSettled([seen(), client.createSession(options)]);
    if (driving.status === "fulfilled" && opening.status === "fulfilled" && !options.signal.aborted) {
      return new Show(opening.value, driver, stage.canvas);
    }
    driver.stop();
    stage.showDriver(null, null);
    if (opening.status === "fulfilled") {
      void opening.value.close();
    }
    const failed = [driving, opening].find((outcome) => outcome.status === "rejected");
    throw failed?.status === "rejected" ? failed.reason : options.signal.reason;
  }

  get driver(): Driver {
    return this.#driver;
  }

  /** Another driver for the same avatar; the old one stops first, for both may want the same camera. */
  async drive(driver: Driver): Promise<void> {
    this.#driver.stop();
    this.#driver = driver;
    await driver.start();
    driver.session = this.session;
  }

  update(update: SessionUpdate): void {
    this.session.update(update);
  }

  /** Ends session and driver. */
  stop(): void {
    this.#driver.stop();
    this.#detach();
    void this.session.close();
  }
}
