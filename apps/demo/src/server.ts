/**
 * The demo's one process: a sync server on SQLite, and the page that speaks to it, at one address.
 *
 * Prints the address when it is ready; Ctrl-C and SIGTERM stop it when what was accepted is stored, with exit code 0. What cannot
 * be done is one line on stderr, and exit code 2.
 */
import { resolve } from 'node:path'
import { type DemoOptions, parseOptions, USAGE } from './options.ts'
import { startDemo } from './start-demo.ts'

try {
  const options = parseOptions(process.argv.slice(2), process.env)
  if (options === 'help') console.log(USAGE)
  else await serve(options)
} catch (error) {
  console.error(`tidemark-demo: ${error instanceof Error ? error.message : error}`)
  process.exitCode = 2
}

async function serve(options: DemoOptions): Promise<void> {
  const demo = await startDemo(options, console.log)
  console.log(`\n  Tidemark demo\n\n  page     ${demo.address}\n  storage  ${resolve(options.storage)}\n`)
  console.log('  Open the page in two tabs and edit the list in both. Ctrl-C stops the server.\n')
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => {
      // Asked a second time, it stops at once: the default of the signal is back.
      demo.close().then(
        () => process.exit(0),
        (error: unknown) => {
          console.error(`tidemark-demo: ${error instanceof Error ? error.message : error}`)
          process.exit(1)
        },
      )
    })
}
