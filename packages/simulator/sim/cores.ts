/**
 * Processes that play portions of seeds at the same time.
 *
 * Not here: which portions (`run.ts`), how a world is played (`play.ts`).
 */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Played, Portion } from './play.ts'

/**
 * A world makes much that is garbage when it ends, and many errors whose stack nobody reads: room for the one (in MiB, up to three times that in all)
 * and none for the other save time. Who wants the stack plays the seed again.
 */
const FLAGS = ['--min-semi-space-size=64', '--max-semi-space-size=64', '--stack-trace-limit=0']

/**
 * Hands out portions until there are none left, or `done` says that it is enough; what was begun is ended. Answers the first that was not played.
 *
 * @throws Error if a process ends by itself.
 */
export async function onAllCores(
  portions: readonly Portion[],
  workers: number,
  done: (portion: Portion, failed: readonly Played[]) => boolean,
): Promise<Portion | undefined> {
  let given = 0
  let enough = false

  function work(): Promise<void> {
    return new Promise((resolve, reject) => {
      const file = fileURLToPath(new URL('worker.ts', import.meta.url))
      const worker = fork(file, [], { execArgv: [...process.execArgv, ...FLAGS] })
      const next = () => {
        const portion = enough ? undefined : portions[given]
        if (portion === undefined) return worker.disconnect()
        given += 1
        worker.send(portion)
      }
      worker.on('message', ({ portion, failed }: { portion: Portion; failed: readonly Played[] }) => {
        if (!done(portion, failed)) enough = true
        next()
      })
      worker.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`a worker ended with ${code}`))))
      next()
    })
  }

  await Promise.all(Array.from({ length: workers }, work))
  return portions[given]
}
