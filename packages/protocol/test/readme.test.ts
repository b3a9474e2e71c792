/** The first example of the README, as it stands there: it runs, and what it says comes out. */
import { expect, test } from 'vitest'
import readme from '../README.md?raw'
import { jazz, ProtocolError } from '../src/index.ts'

test('the example of the README runs and answers what it says', () => {
  const code = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  const [imports, ...others] = code.match(/^import .*$/gm) ?? []
  expect([imports, others]).toEqual(["import { jazz, ProtocolError } from '@tidemark/protocol'", []])
  const body = `${code.replace(imports ?? '', '')}\nreturn [heard, frames]`
  const answers: unknown = new Function('jazz', 'ProtocolError', body)(jazz, ProtocolError)
  const said = [...code.matchAll(/^\/\/ (\[.*\])$/gm)].map((match) => new Function(`return ${match[1]}`)())
  expect(said).toHaveLength(2)
  expect(answers).toEqual(said)
})
