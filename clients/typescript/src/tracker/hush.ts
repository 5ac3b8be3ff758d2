/** Keeps MediaPipe's own log lines out of the app's console; warnings of others, and its errors, still arrive. */

const CHATTER = /^(INFO: Created TensorFlow|[IW]\d{4} |warning: Browser does not support creating object URLs)/;

/** From now on, in this worker. MediaPipe takes its functions from the console when it is loaded, so call it before. */
export function hushMediapipe(): void {
  for (const level of ["log", "info", "warn", "error"] as const) {
    // biome-ignore lint/suspicious/noConsole: the console itself is the subject
    const speak = console[level].bind(console);
    console[level] = (...words: unknown[]) => {
      if (!CHATTER.test(String(words[0]))) {
        speak(...words);
      }
    };
  }
}
