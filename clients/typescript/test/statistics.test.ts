import { describe, expect, test } from "vitest";
import { type Figures, StatisticsRecorder, verdict } from "../src/statistics.js";

const FINE: Figures = {
  targetFps: 24,
  freshFps: 24,
  poseRate: 30,
  posesHeldBack: 0,
  framesPassedOver: 0,
  latencyP95: 90,
  serverP95: 60,
  holdP95: 5,
  rtt: 2,
};

describe("the verdict", () => {
  test.each<[string, Partial<Figures>, string, string]>([
    ["all is well", {}, "good", "none"],
    ["frames pass over but enough are shown in time", { framesPassedOver: 0.2 }, "good", "none"],
    ["the camera is slow", { poseRate: 15, freshFps: 15 }, "fair", "driver"],
    ["the camera has stopped", { poseRate: 0, freshFps: 0 }, "poor", "driver"],
    ["the page draws slowly", { freshFps: 16, framesPassedOver: 0.3, holdP95: 90 }, "fair", "client"],
    ["the page holds frames", { latencyP95: 300, holdP95: 220 }, "fair", "client"],
    ["the network is far", { latencyP95: 350, rtt: 200 }, "fair", "network"],
    ["the network is full", { freshFps: 10, posesHeldBack: 0.6, latencyP95: 900 }, "poor", "network"],
    ["the way takes long though pings are quick", { latencyP95: 320, serverP95: 60, holdP95: 5 }, "fair", "network"],
    ["the server is slow", { freshFps: 17, latencyP95: 180, serverP95: 150 }, "fair", "server"],
    ["the server is late", { latencyP95: 500, serverP95: 470 }, "poor", "server"],
    [
      "nothing is known of delays",
      { freshFps: 10, latencyP95: null, serverP95: null, holdP95: null, rtt: null },
      "poor",
      "server",
    ],
  ])("when %s", (_, figures, quality, limitedBy) => {
    expect(verdict({ ...FINE, ...figures })).toEqual({ quality, limitedBy });
  });
});

describe("the figures", () => {
  test("count the last seconds only, and percentiles lie between samples", () => {
    const recorder = new StatisticsRecorder();
    for (let frame = 0; frame < 480; frame += 1) {
      const now = frame * 50_000;
      recorder.poseOffered(now, frame % 4 === 0);
      recorder.frameReceived(now, 10_000, 3, 2);
      recorder.frameShown(now + 1000, now, frame * 100, frame % 2);
    }
    const figures = recorder.snapshot(479 * 50_000);
    expect(figures.fps).toBeCloseTo(20, 3);
    expect(figures.latencyP50Ms).toBeCloseTo((240 + 119.5) / 10, 3);
    expect(figures.latencyP95Ms).toBeCloseTo((240 + 227.05) / 10, 3);
    expect(figures).toMatchObject({ framesShown: 480, framesDropped: 242, posesDropped: 123, rttMs: null });
    expect(recorder.snapshot(60_000_000).fps).toBe(0);
  });

  test("of the server go on when it counts from zero again", () => {
    const recorder = new StatisticsRecorder();
    recorder.frameReceived(1, null, 5, 7);
    recorder.sessionChanged();
    recorder.frameReceived(2, null, 1, 1);
    expect(recorder.snapshot(3)).toMatchObject({ posesDropped: 6, framesDropped: 8 });
  });

  test("say nothing bad of a pause", () => {
    const recorder = new StatisticsRecorder();
    recorder.frameReceived(1, null, 0, 0);
    expect(recorder.snapshot(9_000_000).quality).toBe("poor");
    recorder.paused = true;
    expect(recorder.snapshot(9_000_000)).toMatchObject({ quality: "good", limitedBy: "none" });
  });

  test("say nothing bad before there is anything to judge", () => {
    expect(new StatisticsRecorder().snapshot(0)).toMatchObject({
      quality: "good",
      limitedBy: "none",
      latencyP50Ms: null,
    });
  });
});
