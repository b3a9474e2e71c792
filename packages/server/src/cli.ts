#!/usr/bin/env node
/**
 * `tidemark-server`: the command. Signals, exit codes, and what goes to stdout and stderr.
 *
 * Exit codes: 0 stopped as told, 1 stopped by a failure or by a second signal, 2 what was asked for cannot be done.
 * Not here: what the words on the command line mean (`command.ts`), serving (`serve.ts`).
 */
import { readFileSync } from 'node:fs'
import { StorageError } from '@tidemark/storage'
import { CommandError, parseCommand, type ServeCommand, USAGE } from './command.ts'
import type { Listening } from './listen.ts'
import type { Log } from './log.ts'
import { serve } from './serve.ts'
import { createLog, messageOf } from './stderr-log.ts'

// A closed pipe is no reason to stop serving.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
main(process.argv.slice(2))

function main(args: readonly string[]): void {
  try {
    const command = parseCommand(args)
    if (command === 'help') process.stdout.write(USAGE)
    else if (command === 'version') process.stdout.write(`${version()}\n`)
    else start(command)
  } catch (cause) {
    giveUp(cause)
  }
}

function start(command: ServeCommand): void {
  const log = createLog(command.logLevel, (line) => process.stderr.write(line))
  process.on('uncaughtException', (cause) => die(cause, log))
  process.on('unhandledRejection', (cause) => die(cause, log))
  const serving = serve(command, log)
  obeySignals((signal) => {
    // Also one that arrives before we listen is obeyed in order, unless starting takes too long.
    const late = setTimeout(() => process.exit(1), START_GRACE_MS)
    serving
      .then((listening) => {
        clearTimeout(late)
        return stop(listening, signal, log)
      })
      .catch(() => {})
  })
  // Without a handler it would end the process.
  process.on('SIGHUP', () => {
    serving.then((listening) => listening.reload()).catch(() => {})
  })
  serving.then(({ url }) => process.stdout.write(`listening on ${url}\n`)).catch(giveUp)
}

/** The first signal stops in order, the second one at once. */
function obeySignals(stopInOrder: (signal: string) => void): void {
  let firstMs: number | undefined
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => {
      const nowMs = performance.now()
      if (firstMs === undefined) {
        firstMs = nowMs
        stopInOrder(signal)
      } else if (signal === 'SIGTERM' || nowMs - firstMs > SAME_KEY_MS) process.exit(1)
    })
}

/** How long a start that is under way may take once it is to stop. */
const START_GRACE_MS = 2_000

/** Ctrl-C comes twice if whoever started us (npx, npm) passes on what the terminal sent to us too. */
const SAME_KEY_MS = 250

async function stop(listening: Listening, signal: string, log: Log): Promise<void> {
  log('info', 'stopping: no new clients, storing what was accepted', { signal })
  try {
    await listening.close()
    log('info', 'stopped')
    process.exit(0)
  } catch (cause) {
    log('error', 'stopped with a failure', { cause })
    process.exit(1)
  }
}

/** What was asked for cannot be done. */
function giveUp(cause: unknown): void {
  const expected = cause instanceof CommandError
  const line = (expected ? cause.message : messageOf(cause)).replaceAll('\n', '\\n')
  process.stderr.write(`tidemark-server: ${line}\n`, () => process.exit(expected ? 2 : 1))
}

/** Nobody handled this: what is in memory may be wrong, what is acknowledged is on disk. */
function die(cause: unknown, log: Log): void {
  const what = cause instanceof StorageError ? 'the store failed as a whole' : 'a failure that nobody handled'
  log('error', `${what}: stopping`, { cause })
  if (!(cause instanceof StorageError) && cause instanceof Error)
    log('debug', 'where it happened', { stack: cause.stack })
  process.exit(1)
}

function version(): string {
  const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(manifest) as { version: string }).version
}
