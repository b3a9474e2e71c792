/**
 * Whether what would be published works: packs the server and every package of the workspace that it needs, installs the tarballs
 * with npm into an empty folder, starts the command there and asks it for a document; then once more with its optional peer.
 *
 *     pnpm build && node scripts/pack-check.mjs
 *
 * Third-party packages come through npm as they would for anybody. Not here: what a package contains and how its types resolve
 * (`check:package`).
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from './run.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const packed = '@tidemark/server'
const optional = '@tidemark/storage-leveldb'
const startMsMax = 20_000
const stopMsMax = 20_000

const folder = mkdtempSync(join(tmpdir(), 'tidemark-pack-'))
try {
  const tarballs = await pack(neededBy(packed))
  await install(tarballs)
  await missesOptional()
  await serve()
  await install([...tarballs, ...(await pack([optional]))])
  await serve('--storage', 'leveldb:./store')
  console.log(`${packed} and ${tarballs.length - 1} packages, then ${optional}: packed, installed, served`)
} catch (error) {
  console.error(`pack-check: ${error.message}`)
  process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** A package of the workspace and those it depends on, the deepest first. */
function neededBy(name, found = new Set()) {
  const { dependencies = {} } = JSON.parse(readFileSync(join(folderOf(name), 'package.json'), 'utf8'))
  for (const dependency of Object.keys(dependencies))
    if (dependency.startsWith('@tidemark/')) neededBy(dependency, found)
  found.add(name)
  return [...found]
}

function folderOf(name) {
  return join(root, 'packages', name.replace('@tidemark/', ''))
}

async function pack(names) {
  const tarballs = []
  for (const name of names) {
    if (!existsSync(join(folderOf(name), 'dist'))) throw new Error(`${name} is not built: run "pnpm build" first`)
    const tarball = join(folder, `${name.replace(/[@/]/g, '-').slice(1)}.tgz`)
    await must('pnpm', ['pack', '--silent', '--out', tarball], folderOf(name))
    tarballs.push(tarball)
  }
  return tarballs
}

async function install(tarballs) {
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
  await must('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error', ...tarballs], folder)
}

async function must(command, args, cwd) {
  const code = await run(command, args, { cwd })
  if (code !== 0) throw new Error(`${command} ${args[0]} in ${cwd} ended with ${code}`)
}

/** Storages that do not come along are named by the command. */
async function missesOptional() {
  const server = spawnServer(['--port', '0', '--storage', 'leveldb:./store'], 'pipe')
  let text = ''
  server.stderr.on('data', (chunk) => {
    text += chunk
  })
  const code = await new Promise((resolve) => server.once('close', resolve))
  if (code !== 2 || !text.includes(optional))
    throw new Error(`without its package, leveldb: ended with ${code}: ${text}`)
}

function spawnServer(args, stderr) {
  const command = join(folder, 'node_modules', '.bin', 'tidemark-server')
  return spawn(command, args, { cwd: folder, stdio: ['ignore', 'pipe', stderr], shell: process.platform === 'win32' })
}

/** Starts the installed command, talks to it as a client would, and stops it. */
async function serve(...args) {
  const server = spawnServer(['--port', '0', ...args], 'inherit')
  const ended = new Promise((resolve) => server.once('exit', (code, signal) => resolve(code ?? signal)))
  try {
    const url = await inTime(ready(server, ended), startMsMax, 'the server did not get ready')
    const health = await fetch(`${url.replace('ws:', 'http:')}/health`)
    if (health.status !== 200) throw new Error(`/health answered ${health.status}`)
    const answer = await inTime(ask(url), startMsMax, 'a LOAD was not answered')
    if (answer.action !== 'known' || answer.header !== false)
      throw new Error(`a LOAD was answered ${JSON.stringify(answer)}`)
    server.kill('SIGTERM')
    const code = await inTime(ended, stopMsMax, 'the server did not stop')
    if (code !== 0 && process.platform !== 'win32') throw new Error(`the server stopped with ${code}`)
  } finally {
    server.kill('SIGKILL')
  }
}

function ready(server, ended) {
  let text = ''
  return new Promise((resolve, reject) => {
    server.stdout.on('data', (chunk) => {
      text += chunk
      const [, url] = /^listening on (\S+)$/m.exec(text) ?? []
      if (url !== undefined) resolve(url)
    })
    server.once('error', reject)
    ended.then((code) => reject(new Error(`the server ended with ${code}: ${text}`)))
  })
}

/** What a client of the Jazz dialect hears when it asks for a document that nobody has. */
function ask(url) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url)
    socket.onopen = () => socket.send('{"action":"load","id":"co_zNobody","header":false,"sessions":{}}')
    socket.onerror = () => reject(new Error(`${url} refused the connection`))
    socket.onmessage = ({ data }) => {
      const line = data
        .split('\n')
        .map(JSON.parse)
        .find(({ action }) => action !== undefined)
      if (line === undefined) return
      socket.close()
      resolve(line)
    }
  })
}

function inTime(work, ms, otherwise) {
  let timer
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${otherwise} within ${ms} ms`)), ms)
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}
