/**
 * A Chromium for tests and measurements: the first that is there of `CHROMIUM_PATH`, the system's, Playwright's own, and the one
 * that comes through npm (linux x64), which is unpacked into the temporary folder once.
 *
 * A machine without any says so, loudly, and fails where `CI` is set: nothing is skipped in silence.
 * Not here: what is done in the browser.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/** To be handed to Playwright's `launch`. */
export interface FoundBrowser {
  readonly executablePath: string
  readonly args: string[]
  readonly env?: Record<string, string>
}

/** It runs as root and in containers, and asks nobody but this machine for anything. */
const ARGUMENTS: readonly string[] = [
  '--no-sandbox',
  '--disable-dev-shm-usage',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-domain-reliability',
  '--disable-sync',
  '--no-pings',
  '--no-first-run',
  '--no-default-browser-check',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1',
]

const PACKED = '@sparticuz/chromium'

type Candidate = () => string | undefined | Promise<string | undefined>

const candidates: Readonly<Record<string, Candidate>> = {
  CHROMIUM_PATH: () => process.env.CHROMIUM_PATH,
  '/usr/bin/chromium': () => '/usr/bin/chromium',
  "Playwright's own": async () => (await import('playwright')).chromium.executablePath(),
  [PACKED]: unpack,
}

/** @throws Error where `CI` is set and there is none. Answers `undefined` elsewhere, after saying why. */
export async function findBrowser(): Promise<FoundBrowser | undefined> {
  const reasons: string[] = []
  for (const [name, candidate] of Object.entries(candidates)) {
    try {
      const executablePath = await candidate()
      if (executablePath !== undefined && existsSync(executablePath)) return launchOf(executablePath)
    } catch (error) {
      reasons.push(`${name}: ${error instanceof Error ? error.message.split('\n')[0] : error}`)
    }
  }
  const message = ['No browser was found: set CHROMIUM_PATH to a Chromium.', ...reasons].join('\n  ')
  if (process.env.CI) throw new Error(message)
  console.error(`\n!! NOT TESTED IN A BROWSER: ${message}\n`)
  return undefined
}

/** The Chromium that comes through npm, unpacked. Several processes may do this at once: the first one's is used by all. */
async function unpack(): Promise<string | undefined> {
  if (process.platform !== 'linux' || process.arch !== 'x64') return undefined
  const { resolve } = createRequire(import.meta.url)
  // Its main file is `build/index.js`.
  const home = dirname(dirname(resolve(PACKED)))
  const { version } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'))
  const target = join(tmpdir(), `tidemark-chromium-${version}-${process.getuid?.() ?? 0}`)
  const executable = join(target, 'chromium')
  if (existsSync(executable)) return executable
  const unfinished = mkdtempSync(join(tmpdir(), 'tidemark-chromium-'))
  try {
    await inflateInto(unfinished, home)
    renameSync(unfinished, target)
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true })
    if (!existsSync(executable)) throw error
  }
  return executable
}

/** Unpacks into the temporary folder, whichever that is: it is told another one meanwhile. */
async function inflateInto(folder: string, home: string): Promise<void> {
  const { inflate } = await import('@sparticuz/chromium')
  const before = process.env.TMPDIR
  process.env.TMPDIR = folder
  try {
    for (const name of ['chromium.br', 'al2023.tar.br', 'swiftshader.tar.br']) await inflate(join(home, 'bin', name))
  } finally {
    if (before === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = before
  }
  // It brings libraries for systems that lack them; elsewhere the system's are the right ones.
  if (runs(join(folder, 'chromium'))) rmSync(join(folder, 'al2023'), { recursive: true })
}

function runs(executable: string): boolean {
  try {
    execFileSync(executable, ['--version'], { stdio: 'pipe', timeout: 20_000 })
    return true
  } catch {
    return false
  }
}

function launchOf(executablePath: string): FoundBrowser {
  const found = { executablePath, args: [...ARGUMENTS] }
  const libraries = join(dirname(executablePath), 'al2023', 'lib')
  if (!existsSync(libraries)) return found
  const path = [libraries, process.env.LD_LIBRARY_PATH].filter((part) => part !== undefined).join(':')
  return { ...found, env: { ...(process.env as Record<string, string>), LD_LIBRARY_PATH: path } }
}
