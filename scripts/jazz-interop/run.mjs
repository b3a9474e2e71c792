/**
 * Starts the server by itself, runs all checks against it, and stops, kills, empties and restores it where a check asks.
 *
 *   node run.mjs [--only name[,name]] [--list] [-- server command]
 *
 * The default command is the server of this repository, built. `--host`, `--port` and `--storage` are added to the command.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { blackBox, restarts } from './checks/index.mjs'
import { startServer } from './lib/server.mjs'
import { parseArguments, runAll, select } from './lib/suite.mjs'
import { createWorld } from './lib/world.mjs'

const FILE = 'server.db'
const cli = fileURLToPath(new URL('../../packages/server/dist/cli.js', import.meta.url))

const options = parseArguments(process.argv.slice(2))
const command = options.command.length > 0 ? options.command : [process.execPath, cli]
const checks = [...blackBox, ...restarts]
if (options.list) {
  for (const check of checks) console.log(check.name)
  process.exit(0)
}

// One server for all checks that leave it alone; its data grows as a real one's does.
let shared
async function sharedServer() {
  if (shared && !shared.server.alive()) {
    console.log('  the server had ended by itself; it was started again')
    await shared.server.start()
  }
  if (shared) return shared.server
  const folder = await mkdtemp(join(tmpdir(), 'jazz-interop-server-'))
  shared = { folder, server: await startServer(command, `sqlite:${join(folder, FILE)}`) }
  return shared.server
}

async function worldFor(check, folder) {
  if (!restarts.includes(check)) return createWorld((await sharedServer()).url, folder)
  const server = await startServer(command, `sqlite:${join(folder, FILE)}`)
  const { world, close } = createWorld(server.url, folder)
  const closeBoth = async () => {
    await close()
    await server.stop()
  }
  return { world: { ...world, server: Object.assign(server, { folder, file: FILE }) }, close: closeBoth }
}

const status = await runAll(select(checks, options.only), worldFor)
if (shared) {
  await shared.server.kill()
  await rm(shared.folder, { recursive: true, force: true })
}
process.exit(status)
