/**
 * Starting a script of `children/` in a process of its own, and reading what it says line by line.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const here = new URL('./children/', import.meta.url)

export interface Child {
  readonly process: ChildProcess
  /** Whole lines that it has said so far. */
  readonly lines: readonly string[]
  /** Resolves with its first line, rejects with what it complained of if it says none. */
  readonly first: Promise<string>
  /** Resolves when it is gone and all it said was read. */
  readonly gone: Promise<void>
  /** Kills it as the system would; resolves when it is gone and all it said was read. */
  kill(): Promise<void>
}

/** `before`: a shell command that is run before the script, in its process. */
export function start(script: string, values: readonly string[], before?: string): Child {
  const file = (name: string) => fileURLToPath(new URL(name, here))
  const command = [process.execPath, `--import=${new URL('sources.ts', here)}`, file(script), ...values]
  const [name, ...rest] = before === undefined ? command : ['/bin/sh', '-c', `${before}; exec "$@"`, 'sh', ...command]
  const child = spawn(name as string, rest, { stdio: ['ignore', 'pipe', 'pipe'] })
  const lines: string[] = []
  let complaint = ''
  child.stderr.on('data', (chunk) => {
    complaint += chunk
  })
  const reader = createInterface({ input: child.stdout })
  const gone = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const first = new Promise<string>((resolve, reject) => {
    reader.once('line', resolve)
    void gone.then(() => reject(new Error(`${script} said nothing: ${complaint}`)))
  })
  reader.on('line', (line) => lines.push(line))
  first.catch(() => {})
  const kill = async () => {
    child.kill('SIGKILL')
    await gone
  }
  return { process: child, lines, first, gone, kill }
}
