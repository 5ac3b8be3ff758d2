import {
  AuthenticationError,
  AvatarError,
  CameraError,
  ConnectionLostError,
  InvalidPortraitError,
  MissingDependencyError,
  NoCapacityError,
} from "@avatar-sdk/client";
import { expect, test } from "vitest";
import { wordsFor, wordsForEnd } from "../src/words.js";

test("every error a user can meet has a title, a sentence and a way out", () => {
  const errors = [
    new AuthenticationError("the token has expired"),
    new CameraError("the camera is taken"),
    new ConnectionLostError("no answer"),
    new InvalidPortraitError("no face was found"),
    new MissingDependencyError("no files"),
    new NoCapacityError("all 4 slots are taken", { retryAfterS: 1.4 }),
    new AvatarError("a step failed"),
  ];
  const words = errors.map(wordsFor);
  expect(new Set(words.map(({ title }) => title)).size).toBe(errors.length);
  for (const { text, ways } of words) {
    expect(text).toMatch(/^[A-Z].*[.?!]$/);
    expect(ways.length).toBeGreaterThan(0);
  }
});

test("a full server says when to come back", () => {
  const { text, ways } = wordsFor(new NoCapacityError("all 4 slots are taken", { retryAfterS: 1.4 }));
  expect(text).toBe("All 4 slots are taken. Try again in 2 s.");
  expect(ways).toContain("again");
});

test("an end that nobody asked for is explained", () => {
  expect(wordsForEnd("idle")).toContain("Nothing moved it");
  expect(wordsForEnd("failed")).toBe("");
});
