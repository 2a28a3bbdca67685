// Chromium and Firefox behind one small interface: a page can be opened, asked, waited for and closed.

import { existsSync } from "node:fs";
import { chromium } from "playwright-core";
import puppeteer from "puppeteer-core";

/** Without sandbox, since CI runs as root; without services that talk to the world outside. */
const CHROMIUM_FLAGS = [
  "--headless=new",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--disable-dev-shm-usage",
  "--mute-audio",
  "--autoplay-policy=no-user-gesture-required",
];
/** Viewers on one machine find each other by address, with no multicast DNS in between. */
const PLAIN_ADDRESSES = "--disable-features=WebRtcHideLocalIpsWithMdns";
/** Pages that nobody looks at play on as if somebody did. */
const NEVER_HIDDEN = ["--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows"];
const FIREFOX_PREFERENCES = {
  "media.autoplay.default": 0,
  "media.autoplay.blocking_policy": 0,
  "media.volume_scale": "0.0",
  "media.peerconnection.ice.loopback": true,
  "media.peerconnection.ice.obfuscate_host_addresses": false,
  // No questions to anybody outside.
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "browser.safebrowsing.downloads.remote.enabled": false,
  "app.update.auto": false,
  "dom.min_background_timeout_value": 4,
  "dom.timeout.enable_budget_timer_throttling": false,
};
/** How long a condition is waited for when a test says nothing else. */
const WAIT_TIMEOUT_MS = 60_000;
const POLL_INTERVAL_MS = 100;

const PATHS = {
  chromium: [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"],
  firefox: [process.env.FIREFOX, "/usr/bin/firefox-esr", "/usr/bin/firefox"],
};

/**
 * Opens a headless browser. For Chromium there are: `mdns`, it hides its addresses, as it does by default; `throttled`, tabs that nobody sees
 * are slowed down, as by default; `hides`, a tab is hidden when another one is brought to the front; further `flags`.
 */
export async function openBrowser(kind, { mdns = false, throttled = false, hides = false, flags = [] } = {}) {
  const path = PATHS[kind].find((path) => path && existsSync(path));
  if (!path) throw new Error(`${kind} is not installed; its path can be given as $${kind.toUpperCase()}`);
  if (kind === "chromium") {
    const args = [...CHROMIUM_FLAGS, ...(mdns ? [] : [PLAIN_ADDRESSES]), ...(throttled ? [] : NEVER_HIDDEN), ...flags];
    const ignoreDefaultArgs = throttled ? NEVER_HIDDEN : [];
    if (!hides) {
      const browser = await chromium.launch({ executablePath: path, headless: true, args, ignoreDefaultArgs });
      return new OpenBrowser(browser, kind, () => browser.newContext());
    }
    // Playwright's pages believe that they are always seen.
    const browser = await puppeteer.launch({ executablePath: path, headless: true, args, ignoreDefaultArgs });
    return new OpenBrowser(browser, kind, () => browser.createBrowserContext());
  }
  const browser = await puppeteer.launch({ browser: "firefox", executablePath: path, headless: true, extraPrefsFirefox: FIREFOX_PREFERENCES });
  return new OpenBrowser(browser, kind, () => browser.createBrowserContext());
}

class OpenBrowser {
  constructor(driver, kind, newContext) {
    Object.assign(this, { driver, kind, newContext });
  }

  /** A page of its own, as a further viewer would have it: nothing is shared with the other pages but with `beside`, which is in the same profile. */
  async open(url, { beside } = {}) {
    const context = beside ? beside.context : await this.newContext();
    const page = new OpenPage(context, await context.newPage());
    if (url) await page.driver.goto(url, { waitUntil: "domcontentloaded" });
    return page;
  }

  /** The ids of the processes that run Chromium's pages. */
  async pageProcesses() {
    const devtools = await this.driver.newBrowserCDPSession();
    const { processInfo } = await devtools.send("SystemInfo.getProcessInfo");
    await devtools.detach();
    return processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id);
  }

  async close() {
    await this.driver.close().catch(() => {});
  }
}

class OpenPage {
  /** What the page complained of: exceptions and errors on the console. */
  errors = [];

  constructor(context, driver) {
    Object.assign(this, { context, driver });
    /** Done when the page's process is gone. */
    this.crashed = new Promise((resolve) => driver.on("crash", resolve));
    driver.on("pageerror", (error) => this.errors.push(String(error)));
    driver.on("console", (message) => message.type() === "error" && this.errors.push(`${message.text()} (${message.location()?.url ?? ""})`));
  }

  /** What a function gives that is run in the page. */
  ask(code, argument) {
    return this.driver.evaluate(code, argument);
  }

  /** Waits until a function gives something true; that is the result. It runs in the page, or `here`, in the test. */
  async until(code, { argument, timeout = WAIT_TIMEOUT_MS, what = String(code), here = false } = {}) {
    const deadline = Date.now() + timeout;
    for (;;) {
      const value = await (here ? code() : this.ask(code, argument));
      if (value) return value;
      if (Date.now() > deadline) {
        const state = await this.ask(() => JSON.stringify(window.viewer?.state() ?? window.p2pMediaExample?.stats ?? null));
        throw new Error(`not within ${timeout / 1000} s: ${what}\nviewer: ${state}\nerrors: ${this.errors.join("\n")}`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS));
    }
  }

  /** Chromium's DevTools protocol for this page. */
  devtools() {
    return this.context.newCDPSession(this.driver);
  }

  async close() {
    await this.driver.close().catch(() => {});
  }
}
