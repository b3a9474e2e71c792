/**
 * The command as a process, run from the sources, and always ended again.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const cli = fileURLToPath(new URL('../src/cli.ts', import.meta.url))
const sources = new URL('run-sources.mjs', import.meta.url).href

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface Command {
  readonly child: ChildProcess
  readonly url: string
  readonly ended: Promise<Ended>
  stderr(): string
  get(path: string): Promise<Response>
}

/** Starts the command and waits until it listens. */
export async function startCommand(
  args: readonly string[],
  options: { cwd?: string; node?: string[] } = {},
): Promise<Command> {
  const started = spawnCommand(args, options)
  const url = await new Promise<string>((resolve, reject) => {
    started.child.stdout?.on('data', () => {
      const [, ready] = /^listening on (\S+)$/m.exec(started.stdout()) ?? []
      if (ready !== undefined) resolve(ready)
    })
    started.ended.then(({ code, stderr }) => reject(new Error(`it ended with ${code}: ${stderr}`)), reject)
  })
  const base = url.replace('ws:', 'http:')
  return { ...started, url, get: (path) => fetch(base + path) }
}

/** Runs the command to its end. */
export function runCommand(args: readonly string[], options: { cwd?: string } = {}): Promise<Ended> {
  const { child, ended } = spawnCommand(args, options)
  const timer = setTimeout(() => child.kill('SIGKILL'), 20_000)
  return ended.finally(() => clearTimeout(timer))
}

/** Runs `use` with a command that listens, and ends it whatever happens. */
export async function withCommand<T>(args: readonly string[], use: (command: Command) => Promise<T>): Promise<T> {
  const command = await startCommand(args)
  try {
    return await use(command)
  } finally {
    command.child.kill('SIGKILL')
    await command.ended
  }
}

export function spawnCommand(args: readonly string[], { cwd, node = [] }: { cwd?: string; node?: string[] }) {
  const child = spawn(process.execPath, [...node, '--import', sources, cli, ...args], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '', NODE_NO_WARNINGS: '1' },
  })
  const text = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk) => {
    text.stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    text.stderr += chunk
  })
  const ended = new Promise<Ended>((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, ...text }))
  })
  return { child, ended, stdout: () => text.stdout, stderr: () => text.stderr }
}
