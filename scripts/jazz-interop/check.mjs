/**
 * Checks a running server of which only the URL is known.
 *
 *   node check.mjs ws://127.0.0.1:PORT [--only name[,name]] [--list]
 */
import { blackBox } from './checks/index.mjs'
import { parseArguments, runAll, select } from './lib/suite.mjs'
import { createWorld } from './lib/world.mjs'

const options = parseArguments(process.argv.slice(2))
const [url] = options.rest
if (options.list) {
  for (const check of blackBox) console.log(check.name)
  process.exit(0)
}
if (!url) {
  console.error('usage: node check.mjs ws://127.0.0.1:PORT [--only name[,name]] [--list]')
  process.exit(2)
}
process.exit(await runAll(select(blackBox, options.only), async (_, folder) => createWorld(url, folder)))
