/**
 * A browser for tests: the first that is found of `CHROMIUM_PATH`, the system's, Playwright's own, and the one that comes through npm.
 *
 * A machine without one says so, loudly; where `CI` is set that is a failure. Not here: what is done in it.
 */
import { existsSync } from 'node:fs'
import sparticuz from '@sparticuz/chromium'
import { type Browser, chromium } from 'playwright'

/** Also as root, and where there is little shared memory: containers. */
const ARGUMENTS = ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu']

/** `undefined` if there is none; the reason was said then. */
export async function launchBrowser(): Promise<Browser | undefined> {
  const reasons: string[] = []
  for (const [name, find] of candidates) {
    try {
      const executablePath = await find()
      if (executablePath === undefined || !existsSync(executablePath)) continue
      return await chromium.launch({ executablePath, args: ARGUMENTS })
    } catch (error) {
      reasons.push(`${name}: ${error instanceof Error ? error.message.split('\n')[0] : error}`)
    }
  }
  const message = ['no browser was found: set CHROMIUM_PATH to a Chromium', ...reasons].join('\n  ')
  if (process.env.CI !== undefined) throw new Error(message)
  console.error(`\n!! NOT TESTED IN A BROWSER: ${message}\n`)
  return undefined
}

const candidates: readonly (readonly [name: string, find: () => string | undefined | Promise<string>])[] = [
  ['CHROMIUM_PATH', () => process.env.CHROMIUM_PATH],
  ['system', () => '/usr/bin/chromium'],
  ['Playwright', () => chromium.executablePath()],
  ['@sparticuz/chromium', () => sparticuz.executablePath()],
]
