/** The first example of the README, as it stands there: it runs, and what it says comes out. */
import { expect, test } from 'vitest'
import readme from '../README.md?raw'
import { compare, knownState, missing, union } from '../src/index.ts'

test('the example of the README runs and answers what it says', () => {
  const code = /```ts\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
  const [imports, ...others] = code.match(/^import .*$/gm) ?? []
  expect([imports, others]).toEqual(["import { compare, knownState, missing, union } from '@tidemark/known-state'", []])
  const body = `${code.replace(imports ?? '', '')}\nreturn { verdict, lacking, both }`
  const run = new Function('compare', 'knownState', 'missing', 'union', body)
  expect(run(compare, knownState, missing, union)).toEqual({
    verdict: 'concurrent',
    lacking: { header: false, sessions: new Map([['bob-1', { after: 0, until: 2 }]]) },
    both: knownState(true, [
      ['alice-1', 5],
      ['bob-1', 2],
    ]),
  })
})
