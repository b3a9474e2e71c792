/**
 * The server under test as a child process: start it, stop it, kill it, start it again on the same port.
 *
 * The command is given without `--port` and `--storage`; it must print `listening on ws://HOST:PORT` when it is ready, and
 * end with status 0 on SIGTERM.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

// Every start listens for the end of this process; there are many starts.
process.setMaxListeners(0)
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))

const READY_MS_MAX = 30_000
const STOP_MS_MAX = 10_000

/** A server whose data lives in `storage` (what `--storage` takes). `url` stays the same over restarts. */
export async function startServer(command, storage) {
  const server = { url: undefined, start, stop, kill, alive: () => running !== undefined && !ended(running.child) }
  let running
  let port = 0

  async function start() {
    running = await launch(command, ['--host', '127.0.0.1', '--port', String(port), '--storage', storage])
    server.url = running.url
    // The clients know the server by its URL, so every later start takes the port that the first one was given.
    port = new URL(running.url).port
  }

  /** Asks it to end, as a service manager would. */
  async function stop() {
    if (!running) return
    const { child } = running
    running = undefined
    child.kill('SIGTERM')
    const code = await exitOf(child)
    if (code !== 0) throw new Error(`the server ended with ${code} after SIGTERM`)
  }

  /** Ends it at once, as a crash would. */
  async function kill() {
    if (!running) return
    const { child } = running
    running = undefined
    child.kill('SIGKILL')
    await exitOf(child)
  }

  await start()
  return server
}

const ended = (child) => child.exitCode !== null || child.signalCode !== null

async function exitOf(child) {
  if (ended(child)) return child.exitCode ?? child.signalCode
  const limit = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX)
  const [code, signal] = await once(child, 'exit')
  clearTimeout(limit)
  return code ?? signal
}

async function launch([program, ...fixed], options) {
  const child = spawn(program, [...fixed, ...options], { stdio: ['ignore', 'pipe', 'pipe'] })
  process.once('exit', () => child.kill('SIGKILL'))
  const said = []
  const note = (line) => {
    if (said.length < 20) said.push(line)
    if (process.env.TRACE) console.log(`  server: ${line}`)
  }
  createInterface({ input: child.stderr }).on('line', note)
  const url = await new Promise((resolve, reject) => {
    const limit = setTimeout(() => fail('not ready in time'), READY_MS_MAX)
    const fail = (reason) => {
      clearTimeout(limit)
      child.kill('SIGKILL')
      reject(new Error(`the server did not start (${reason}): ${said.join(' / ').slice(0, 500)}`))
    }
    child.once('error', (error) => fail(error.message))
    child.once('exit', (code, signal) => fail(`ended with ${code ?? signal}`))
    createInterface({ input: child.stdout }).on('line', (line) => {
      note(line)
      const found = /listening on (ws:\/\/\S+)/.exec(line)?.[1]
      if (!found) return
      clearTimeout(limit)
      child.removeAllListeners('exit')
      resolve(found)
    })
  })
  return { child, url }
}
