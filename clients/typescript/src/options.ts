/** What a session may be asked for, in plain values, and the messages they become. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { InvalidConfigError, InvalidPortraitError } from "./errors.js";
import type { Encoding } from "./frame.js";
import * as pb from "./gen/avatar_pb.js";

/** Bytes of a JPEG, PNG or WebP file. */
export type ImageFile = Blob | Uint8Array;

/** How strongly each part of the motion is followed. Unit: factor. Range: [0, 2]. Default: 1. */
export interface Gains {
  /** Head rotation. */
  head: number;
  /** Lid opening and gaze. */
  eyes: number;
  /** Brow movement. */
  brows: number;
  /** Mouth and jaw. */
  mouth: number;
  /** Head translation and approach. */
  translation: number;
}

/** What stands behind the person. */
export type Background =
  | { kind: "keep" | "blur" }
  /** "#rrggbb" */
  | { kind: "color"; color: string }
  | { kind: "image"; image: ImageFile };

/** Which driver pose counts as looking ahead without expression. */
export type Neutral = "auto" | "first" | "absolute";

/** How an avatar looks, moves and travels. */
export interface SessionOptions {
  /** A photo with one face. At most 8 MiB. */
  portrait: ImageFile;
  /** Declares that the person shown agreed, or that nobody real is shown. Required. */
  consent: boolean;
  /** How much of the portrait shows, or a field of view in face sizes in [1.4, 6]. Default: "bust". */
  framing?: "face" | "bust" | number;
  /** Default: keep. */
  background?: Background;
  /** Default: "auto". */
  neutral?: Neutral;
  gains?: Partial<Gains>;
  /** Whether jitter is filtered. Default: true. */
  smoothing?: boolean;
  /** Seed of the generator's noise. Default: 0. */
  seed?: number;
  /** Whether the "AI" badge is drawn; the server may insist. Default: true. */
  badge?: boolean;
  /** Default: "jpeg". */
  encoding?: Encoding;
  /** JPEG quality. Range: [1, 100]. Default: 0 = the server's. */
  quality?: number;
  /** H.264. Unit: bits per second. Default: 0 = the server's. */
  bitRate?: number;
  /** Frames under way before the server waits. Range: [1, 8]. Default: 0 = by measured round trip. */
  maxInFlight?: number;
  /** Whether a session that the server has lost is made anew with the same portrait and options. Default: true. */
  recreate?: boolean;
  /** Gives the session up while it is being created; a live one is ended by `close`. */
  signal?: AbortSignal;
}

/** A change of a live session; what is absent stays as it is. */
export interface SessionUpdate {
  gains?: Partial<Gains>;
  smoothing?: boolean;
  badge?: boolean;
  neutral?: Neutral;
  /** Stops generating until set to false. */
  paused?: boolean;
  /** Makes the next frame one that decoding can start at. */
  keyFrame?: boolean;
}

const MAX_IMAGE_BYTES = 8 * 2 ** 20;
const GAINS = ["head", "eyes", "brows", "mouth", "translation"] as const;
const NEUTRALS = {
  auto: pb.NeutralMode.AUTO,
  first: pb.NeutralMode.FIRST,
  absolute: pb.NeutralMode.ABSOLUTE,
} as const;
const ENCODINGS = { jpeg: pb.Encoding.JPEG, h264: pb.Encoding.H264, rgb: pb.Encoding.RGB } as const;
const FRAMINGS = { face: pb.Framing.FACE, bust: pb.Framing.BUST } as const;

/**
 * The request a session is created with.
 *
 * @throws InvalidConfigError for an option out of range, or consent that was not declared.
 * @throws InvalidPortraitError for a portrait that is empty or too large.
 */
export async function createRequest(options: SessionOptions): Promise<pb.CreateSessionRequest> {
  requireConsent(options.consent);
  const { framing = "bust", seed = 0 } = options;
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new InvalidConfigError(`seed is ${seed}; it must be a whole number, 0 or more`, { field: "seed" });
  }
  if (typeof framing === "number") {
    inRange("framing", framing, 1.4, 6);
  }
  return create(pb.CreateSessionRequestSchema, {
    consent: true,
    config: {
      ...(typeof framing === "number" ? { framingScale: framing } : { framing: named(FRAMINGS, framing, "framing") }),
      background: await backgroundMessage(options.background ?? { kind: "keep" }),
      neutral: named(NEUTRALS, options.neutral ?? "auto", "neutral"),
      gains: checkedGains(options.gains ?? {}),
      smoothing: options.smoothing ?? true,
      seed: BigInt(seed),
    },
    portrait: await portraitBytes(options.portrait),
  });
}

/**
 * The first message of a stream, without session and token.
 *
 * @throws InvalidConfigError for an option out of range.
 */
export function streamConfig(options: SessionOptions): pb.StreamConfig {
  const { quality = 0, bitRate = 0, maxInFlight = 0 } = options;
  if (quality !== 0) {
    inRange("quality", quality, 1, 100);
  }
  if (maxInFlight !== 0) {
    inRange("maxInFlight", maxInFlight, 1, 8);
  }
  return create(pb.StreamConfigSchema, {
    encoding: named(ENCODINGS, options.encoding ?? "jpeg", "encoding"),
    quality,
    bitRate,
    maxInFlight,
    badge: options.badge ?? true,
  });
}

/**
 * A change as a message.
 *
 * @throws InvalidConfigError for a value out of range.
 */
export function controlMessage(update: SessionUpdate & { calibrate?: boolean }): pb.Control {
  const { gains, neutral, ...plain } = update;
  return create(pb.ControlSchema, {
    ...plain,
    ...(gains && { gains: checkedGains(gains) }),
    ...(neutral && { neutral: named(NEUTRALS, neutral, "neutral") }),
  });
}

/** One change after another: later values win. */
export function merged(first: SessionUpdate, second: SessionUpdate): SessionUpdate {
  const gains = { ...first.gains, ...second.gains };
  return { ...first, ...second, ...(Object.keys(gains).length > 0 && { gains }) };
}

/** @throws InvalidConfigError unless consent was declared. */
export function requireConsent(consent: boolean): void {
  if (consent !== true) {
    throw new InvalidConfigError(
      "consent was not declared; pass consent: true to say that the person shown agreed, or that nobody real is shown",
      { field: "consent" },
    );
  }
}

/** @throws InvalidPortraitError for a portrait that is empty or too large. */
export async function portraitBytes(portrait: ImageFile): Promise<Uint8Array<ArrayBuffer>> {
  const size = portrait instanceof Uint8Array ? portrait.byteLength : portrait.size;
  const field = "portrait";
  if (size === 0) {
    throw new InvalidPortraitError("the portrait is empty; give a JPEG, PNG or WebP with one face", { field });
  }
  if (size > MAX_IMAGE_BYTES) {
    throw new InvalidPortraitError(
      `the portrait has ${size} bytes, more than ${MAX_IMAGE_BYTES}; save it smaller or as JPEG`,
      { field },
    );
  }
  return imageBytes(portrait);
}

async function imageBytes(image: ImageFile): Promise<Uint8Array<ArrayBuffer>> {
  return image instanceof Uint8Array ? new Uint8Array(image) : new Uint8Array(await image.arrayBuffer());
}

async function backgroundMessage(background: Background): Promise<MessageInitShape<typeof pb.BackgroundSchema>> {
  const field = "background";
  switch (background.kind) {
    case "keep":
      return { kind: pb.BackgroundKind.KEEP };
    case "blur":
      return { kind: pb.BackgroundKind.BLUR };
    case "color":
      if (!/^#[0-9a-f]{6}$/i.test(background.color)) {
        throw new InvalidConfigError(`the background is ${background.color}; a colour is "#rrggbb"`, { field });
      }
      return { kind: pb.BackgroundKind.COLOR, colorRgb: Number.parseInt(background.color.slice(1), 16) };
    case "image": {
      const image = await imageBytes(background.image);
      if (image.length > MAX_IMAGE_BYTES) {
        throw new InvalidConfigError(`the background has ${image.length} bytes, more than ${MAX_IMAGE_BYTES}`, {
          field,
        });
      }
      return { kind: pb.BackgroundKind.IMAGE, image };
    }
    default:
      throw new InvalidConfigError(
        `the background's kind is ${JSON.stringify((background as { kind: unknown }).kind)}; it must be one of keep, blur, color, image`,
        { field },
      );
  }
}

function checkedGains(gains: Partial<Gains>): Partial<Gains> {
  for (const [name, value] of Object.entries(gains)) {
    if (!(GAINS as readonly string[]).includes(name)) {
      throw new InvalidConfigError(`there is no gain ${name}; it must be one of ${GAINS.join(", ")}`, {
        field: "gains",
      });
    }
    inRange(`gains.${name}`, value, 0, 2);
  }
  return gains;
}

function inRange(field: string, value: number, low: number, high: number): void {
  if (!(value >= low && value <= high)) {
    throw new InvalidConfigError(`${field} is ${value}; it must be in [${low}, ${high}]`, { field });
  }
}

function named<Value>(table: Readonly<Record<string, Value>>, name: string, field: string): Value {
  const value = Object.hasOwn(table, name) ? table[name] : undefined;
  if (value === undefined) {
    throw new InvalidConfigError(
      `${field} is ${JSON.stringify(name)}; it must be one of ${Object.keys(table).join(", ")}`,
      { field },
    );
  }
  return value;
}
