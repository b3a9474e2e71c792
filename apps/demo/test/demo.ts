/**
 * The demo as a process of its own, from its sources, with a page built from them: what `npm start` runs.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'

const workspace = fileURLToPath(new URL('../../..', import.meta.url))
const demo = fileURLToPath(new URL('..', import.meta.url))

/** Builds the page into a folder, from the sources of all packages. */
export async function buildPage(outDir: string): Promise<void> {
  await build({
    configFile: join(demo, 'vite.config.ts'),
    resolve: {
      alias: [
        { find: /^@tidemark\/([^/]+)$/, replacement: `${workspace}/packages/$1/src/index.ts` },
        { find: /^@tidemark\/([^/]+)\/([^/]+)$/, replacement: `${workspace}/packages/$1/src/$2.ts` },
      ],
    },
    build: { outDir, emptyOutDir: true },
  })
}

export interface DemoProcess {
  readonly address: string
  /** What it has printed so far. */
  output(): string
  /** Sends a signal and waits for the end; answers the exit code. */
  end(signal: NodeJS.Signals): Promise<number | null>
}

/** @throws Error with what it printed if it does not say its address. */
export async function startDemoProcess(args: readonly string[]): Promise<DemoProcess> {
  const child = spawnDemo(args)
  let printed = ''
  const address = await new Promise<string>((resolve, reject) => {
    const take = (chunk: Buffer) => {
      printed += chunk
      const found = /http:\/\/[\d.]+:\d+/.exec(printed)?.[0]
      if (found !== undefined) resolve(found)
    }
    child.stdout?.on('data', take)
    child.stderr?.on('data', take)
    child.once('exit', (code) => reject(new Error(`the demo ended with ${code}:\n${printed}`)))
  })
  return {
    address,
    output: () => printed,
    async end(signal) {
      if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
      const ended = once(child, 'exit')
      child.kill(signal)
      const [code] = await ended
      return code as number | null
    },
  }
}

/** Runs it until it ends by itself. */
export async function runDemo(args: readonly string[]): Promise<{ code: number; output: string }> {
  const child = spawnDemo(args)
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk) => {
      output += chunk
    })
  const [code] = await once(child, 'close')
  return { code: code as number, output }
}

function spawnDemo(args: readonly string[]): ChildProcess {
  const sources = new URL('run-sources.mjs', import.meta.url).href
  return spawn(process.execPath, [`--import=${sources}`, join(demo, 'src/server.ts'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}
