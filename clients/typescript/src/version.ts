/** The one version of avatar-sdk, as in package.json. */
export const VERSION = "0.1.0";
