import Kernels
import Machine
import Tensors
import Testing
import TestSupport

@Suite struct TokenImageAttentionTests {
    /// Two prompts of R rows each, of which the second is used; the first one's rows must stay untouched.
    struct Setting: Sendable {
        let (heads, tokens, width): (Int, Int, Int)
        let rows: Range<Int>
        let (a, c, g, b): (Tensor, Tensor, Tensor, Tensor)
        let (image, position): (Tensor, Tensor)
        let reference: TokenImageAttentionReference

        init(positions: Int, heads: Int, tokens: Int, width: Int) {
            (self.heads, self.tokens, self.width) = (heads, tokens, width)
            let count = heads * tokens
            rows = count..<2 * count
            a = TestValues.uniform([2 * count, width], "a")
            c = TestValues.uniform([2 * count], "c")
            g = TestValues.uniform([2 * count, width], "g")
            b = TestValues.uniform([width], "b")
            image = TestValues.uniform([positions, width], "x")
            position = TestValues.uniform([positions, width], "e")
            reference = TokenImageAttentionReference(
                width: width, heads: heads, position: TestValues.doubles(position))
        }

        /// The used rows of a tensor over both prompts.
        func used(_ tensor: Tensor) -> Tensor { tensor.rows(rows) }

        func tokenToImage(_ workspace: Workspace) -> (output: Tensor, logSumExp: Tensor) {
            var output = Tensor(repeating: 7, a.shape)
            var logSumExp = Tensor(repeating: 7, c.shape)
            TokenImageAttentionKernel.forwardTokenToImage(
                queries: a, image: image, position: position, rows: rows, into: &output, logSumExp: &logSumExp,
                in: workspace)
            return (output, logSumExp)
        }

        func imageToToken(_ workspace: Workspace) -> Tensor {
            var output = Tensor(repeating: .nan, image.shape)
            TokenImageAttentionKernel.forwardImageToToken(
                keys: a, keyBias: c, values: g, valueBias: b, image: image, position: position, rows: rows,
                heads: heads, into: &output, in: workspace)
            return output
        }

        /// Gradients of a and x, the latter added to ones.
        func tokenToImageBackward(_ dOutput: Tensor, _ workspace: Workspace) -> (dA: Tensor, dX: Tensor) {
            let (output, logSumExp) = tokenToImage(workspace)
            var dA = Tensor(repeating: 7, a.shape)
            var dX = Tensor(repeating: 1, image.shape)
            TokenImageAttentionKernel.backwardTokenToImage(
                dOutput: dOutput, output: output, logSumExp: logSumExp, queries: a, image: image, position: position,
                rows: rows, dQueries: &dA, addingTo: &dX, in: workspace)
            return (dA, dX)
        }

        /// Gradients of a, c, g and x.
        func imageToTokenBackward(_ dY: Tensor, _ workspace: Workspace) -> [Tensor] {
            var (dA, dC, dG) = (
                Tensor(repeating: 7, a.shape), Tensor(repeating: 7, c.shape), Tensor(repeating: 7, g.shape)
            )
            var gradient = dY
            TokenImageAttentionKernel.backwardImageToToken(
                &gradient, keys: a, keyBias: c, values: g, image: image, position: position, rows: rows, heads: heads,
                dKeys: &dA, dKeyBias: &dC, dValues: &dG, in: workspace)
            return [dA, dC, dG, gradient]
        }
    }

    /// One tile and several, with whole vectors and with a rest; one head and several.
    static let settings = [
        Setting(positions: 64, heads: 2, tokens: 3, width: 8), Setting(positions: 300, heads: 2, tokens: 7, width: 16),
        Setting(positions: 5, heads: 1, tokens: 2, width: 3), Setting(positions: 513, heads: 4, tokens: 5, width: 8),
    ]

    init() { BLASEnvironment.useSingleThread() }

    @Test(arguments: settings.indices) func forwardMeetsTheDefinition(_ index: Int) {
        let setting = Self.settings[index]
        let workspace = Workspace(threads: 2)
        let (a, x) = (TestValues.doubles(setting.used(setting.a)), TestValues.doubles(setting.image))
        let output = setting.tokenToImage(workspace).output
        #expect(
            GradientCheck.relativeError(setting.used(output).elements, setting.reference.tokenToImage(a, x)) < 2e-6)
        #expect(output.rows(0..<setting.rows.lowerBound).elements.allSatisfy { $0 == 7 })
        let expected = setting.reference.imageToToken(
            a, TestValues.doubles(setting.used(setting.c)), TestValues.doubles(setting.used(setting.g)),
            TestValues.doubles(setting.b), x)
        #expect(GradientCheck.relativeError(setting.imageToToken(workspace).elements, expected) < 2e-6)
    }

    @Test(arguments: settings.indices) func tokenToImageBackwardMeetsCentralDifferences(_ index: Int) {
        let setting = Self.settings[index]
        let dOutput = TestValues.uniform(setting.a.shape, "dO")
        let (dA, dX) = setting.tokenToImageBackward(dOutput, Workspace(threads: 2))
        let (a, x) = (TestValues.doubles(setting.used(setting.a)), TestValues.doubles(setting.image))
        let outcome = GradientCheck.check(
            a + x,
            function: { setting.reference.tokenToImage(Array($0[..<a.count]), Array($0[a.count...])) },
            dOutput: TestValues.doubles(setting.used(dOutput)),
            analytic: setting.used(dA).elements + dX.elements.map { $0 - 1 }, tolerance: 2e-5, probes: 60)
        #expect(outcome.passed, "\(outcome)")
        #expect(dA.rows(0..<setting.rows.lowerBound).elements.allSatisfy { $0 == 7 })
    }

    @Test(arguments: settings.indices) func imageToTokenBackwardMeetsCentralDifferences(_ index: Int) {
        let setting = Self.settings[index]
        let dY = TestValues.uniform(setting.image.shape, "dY")
        let gradients = setting.imageToTokenBackward(dY, Workspace(threads: 2))
        let operands = [setting.used(setting.a), setting.used(setting.c), setting.used(setting.g), setting.image]
        let sizes = operands.map(\.count)
        let b = TestValues.doubles(setting.b)
        let outcome = GradientCheck.check(
            operands.flatMap { TestValues.doubles($0) },
            function: { point in
                var (parts, start): ([[Double]], Int) = ([], 0)
                for size in sizes {
                    parts.append(Array(point[start..<start + size]))
                    start += size
                }
                return setting.reference.imageToToken(parts[0], parts[1], parts[2], b, parts[3])
            },
            dOutput: TestValues.doubles(dY),
            analytic: gradients[..<3].flatMap { setting.used($0).elements } + gradients[3].elements, tolerance: 1e-5,
            probes: 60)
        #expect(outcome.passed, "\(outcome)")
    }

    @Test(arguments: settings.indices) func bitsDoNotDependOnThreads(_ index: Int) {
        let setting = Self.settings[index]
        let (dOutput, dY) = (
            TestValues.uniform(setting.a.shape, "dO"), TestValues.uniform(setting.image.shape, "dY")
        )
        func everything(_ threads: Int) -> [UInt32] {
            let workspace = Workspace(threads: threads)
            let (dA, dX) = setting.tokenToImageBackward(dOutput, workspace)
            let results = [setting.tokenToImage(workspace).output, setting.imageToToken(workspace), dA, dX]
            return (results + setting.imageToTokenBackward(dY, workspace)).flatMap { $0.elements.map(\.bitPattern) }
        }
        let one = everything(1)
        #expect(everything(2) == one)
        #expect(everything(3) == one)
    }
}

@Suite struct TokenLayoutKernelTests {
    @Test func spreadRowsHoldOneHeadEach() {
        let x = Tensor((0..<16).map(Float.init), [4, 4])  // two prompts of two tokens, two heads of two columns
        let y = HeadKernel.spread(x, groups: 2, heads: 2, factor: 2)
        #expect(
            y.elements == [
                0, 2, 0, 0, 8, 10, 0, 0, 0, 0, 4, 6, 0, 0, 12, 14,  //
                16, 18, 0, 0, 24, 26, 0, 0, 0, 0, 20, 22, 0, 0, 28, 30,
            ])
    }

    @Test func gatherIsTheAdjointOfSpread() {
        let (x, y) = (TestValues.uniform([6, 12], "x"), TestValues.uniform([18, 12], "y"))
        let forward = HeadKernel.spread(x, groups: 2, heads: 3, factor: 0.3).elements
        let adjoint = HeadKernel.gather(y, groups: 2, heads: 3, factor: 0.3).elements
        #expect(AdjointTest.gap(x: x.elements, forward: forward, y: y.elements, adjoint: adjoint) < 1e-7)
    }

    @Test func rasterOrderOfOnePosition() {
        let x = Tensor((0..<16).map(Float.init), [16, 1])
        let expected: [Float] = [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]
        #expect(SubpixelKernel.raster(x, height: 1, width: 1).elements == expected)
    }

    @Test func positionOrderUndoesRaster() {
        let raster = Tensor((0..<2 * 96).map(Float.init), [2, 8, 12])  // masks of 2 x 3 positions
        let ordered = SubpixelKernel.positionOrder(raster, height: 2, width: 3)
        #expect(ordered.elements.prefix(6) == [0, 1, 12, 13, 2, 3])
        let pixelMajor = Tensor((0..<192).map { ordered[$0 % 2 * 96 + $0 / 2] }, [96, 2])
        #expect(SubpixelKernel.raster(pixelMajor, height: 2, width: 3).elements == raster.elements)
    }
}
