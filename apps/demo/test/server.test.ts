/**
 * The demo's process: it says where it is, serves its page and nothing else, and ends cleanly.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type DemoProcess, runDemo, startDemoProcess } from './demo.ts'

const folder = mkdtempSync(join(tmpdir(), 'tidemark-demo-'))
const running: DemoProcess[] = []
let files = 0

const page = join(folder, 'page')

beforeAll(() => {
  mkdirSync(page)
  writeFileSync(join(page, 'index.html'), '<!doctype html><title>page</title>')
})
afterEach(async () => {
  for (const demo of running.splice(0)) await demo.end('SIGKILL')
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function options(...more: string[]): string[] {
  files += 1
  return ['--page', page, '--storage', join(folder, `${files}.db`), '--port', '0', ...more]
}

async function start(...more: string[]): Promise<DemoProcess> {
  const demo = await startDemoProcess(options(...more))
  running.push(demo)
  return demo
}

test.each(['SIGTERM', 'SIGINT'] as const)('serves its page, and ends with 0 on %s', async (signal) => {
  const demo = await start()
  const answer = await fetch(demo.address)
  expect([answer.status, answer.headers.get('content-type'), await answer.text()]).toEqual([
    200,
    'text/html; charset=utf-8',
    '<!doctype html><title>page</title>',
  ])
  expect((await fetch(`${demo.address}/1.db`)).status).toBe(404)
  expect((await fetch(`${demo.address}/%2e%2e/package.json`)).status).toBe(404)
  expect((await fetch(demo.address, { method: 'POST' })).status).toBe(404)
  expect(await (await fetch(`${demo.address}/health`)).json()).toMatchObject({ status: 'ok' })
  expect(await demo.end(signal)).toBe(0)
})

test('goes on to the next port if the wanted one is taken, and says so', async () => {
  const other = createServer()
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  const { port } = other.address() as { port: number }
  const demo = await start('--port', String(port))
  expect(demo.output()).toContain(`port ${port} is taken, trying ${port + 1}`)
  expect(demo.address).not.toBe(`http://127.0.0.1:${port}`)
  other.close()
})

test('says in one line what cannot be done', async () => {
  const notOurs = join(folder, 'not-ours.db')
  writeFileSync(notOurs, 'this is no database, and it is longer than a page header would be'.repeat(20))
  for (const args of [
    ['--port', 'many'],
    ['--nonsense'],
    ['--page', join(folder, 'nowhere'), '--storage', join(folder, 'unused.db')],
    ['--page', page, '--storage', notOurs, '--port', '0'],
  ]) {
    const { code, output } = await runDemo(args)
    expect({ args, code, lines: output.trimEnd().split('\n').length }).toEqual({ args, code: 2, lines: 1 })
    expect(output).toMatch(/^tidemark-demo: /)
  }
  expect(await runDemo(['--help'])).toMatchObject({ code: 0, output: expect.stringContaining('--storage PATH') })
})
