/**
 * A browser for the tests of the page. Not here: where it is found (`scripts/browser.ts`), what is done in it.
 */
import { type Browser, chromium } from 'playwright'
import { findBrowser } from '../../../scripts/browser.ts'

/** `undefined` if there is none; the reason was said then. */
export async function launchBrowser(): Promise<Browser | undefined> {
  const found = await findBrowser()
  return found && chromium.launch(found)
}
