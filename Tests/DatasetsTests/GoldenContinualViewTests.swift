import Datasets
import Foundation
import Imaging
import Tensors
import Testing
import TestSupport
import WeightFiles

/// Views and prompts of continual training against the released code.
@Suite struct GoldenContinualViewTests {
    private func open() throws -> TensorTable { try Golden.open("moda", in: Bundle.module) }

    /// An image stored channel first. // [3, H, W], or one of several such
    private func image(_ table: TensorTable, _ name: String, number: Int = 0) throws -> Image {
        let shape = try #require(table[name]).shape
        let (height, width) = (shape[shape.count - 2], shape[shape.count - 1])
        let plane = height * width
        let bytes = try table.bytes(name).dropFirst(number * 3 * plane).prefix(3 * plane).map { $0 }
        return Image(
            width: width, height: height, channels: 3,
            pixels: (0..<plane).flatMap { place in (0..<3).map { bytes[$0 * plane + place] } })
    }

    private func mask(_ table: TensorTable, _ name: String, number: Int = 0) throws -> GreyMask {
        let shape = try #require(table[name]).shape
        let (height, width) = (shape[shape.count - 2], shape[shape.count - 1])
        let values = try table.tensor(name).elements
        return GreyMask(
            width: width, height: height, values: Array(values[number * width * height..<(number + 1) * width * height])
        )
    }

    /// Of 8-bit values at most one in a thousand may be off by one, where truncation meets a rounding error.
    private func expectSame(_ actual: Image, _ expected: Image, _ label: String) {
        #expect((actual.width, actual.height) == (expected.width, expected.height))
        let differences = zip(actual.pixels, expected.pixels).map { abs(Int($0) - Int($1)) }
        let off = differences.count { $0 > 0 }
        #expect(differences.max() ?? 0 <= 1 && off * 1000 <= differences.count, "\(label): \(off) values differ")
    }

    private func expectBox(_ actual: Box?, _ expected: [Float], _ label: String) throws {
        let box = try #require(actual)
        #expect([box.x0, box.y0, box.x1, box.y1].map { Float($0) } == expected, "\(label)")
    }

    @Test(arguments: [0, 1, 2]) func largeScaleJitter(number: Int) throws {
        let table = try open()
        let (image, mask) = (try image(table, "aug.in.image_u8"), try mask(table, "aug.in.mask_u8"))
        let name = "aug.case\(number)"
        let expected = try self.image(table, name + ".out.image_u8")
        let offset = try table.integers(name + ".in.offset_yx")
        let draws = LargeScaleJitter.Draws(
            isMirrored: try table.integers(name + ".in.flip")[0] != 0,
            scale: try table.number(name + ".in.uniform"), row: offset[0], column: offset[1])
        let view = LargeScaleJitter(side: expected.width).apply(draws, to: image, mask)
        expectSame(view.image, expected, name)
        let values = try self.mask(table, name + ".out.mask").values
        expectClose(view.mask.values, values, relativeToMaximum: 1e-5, "\(name) mask")
        try expectBox(view.mask.tightBox, try table.tensor(name + ".out.box").elements, name)
    }

    @Test(arguments: 0..<5) func squashedBoxes(number: Int) throws {
        let table = try open()
        let mask = try mask(table, "pool.in\(number).mask_u8").resized(width: 128, height: 128)
        try expectBox(mask.tightBox, try table.tensor("pool.in\(number).box").elements, "image \(number)")
    }

    @Test(arguments: 0..<2) func squashedImages(number: Int) throws {
        let table = try open()
        let (image, mask) = (
            try image(table, "pool.in\(number).image_u8"), try mask(table, "pool.in\(number).mask_u8")
        )
        let expected = try self.image(table, "pool.in\(number).resized_u8")
        let view = MaskedView(squashing: image, mask, side: expected.width)
        expectSame(view.image, expected, "image \(number)")
        let values = try self.mask(table, "pool.in\(number).resized_mask").values
        expectClose(view.mask.values, values, relativeToMaximum: 1e-5, "mask \(number)")
    }

    /// Images of the model's size are only normalised.
    @Test(arguments: 0..<3) func inputs(number: Int) throws {
        let table = try open()
        let (image, mask) = (
            try image(table, "in.image_u8", number: number), try mask(table, "in.mask_u8", number: number)
        )
        let view = MaskedView(squashing: image, mask, side: image.width)
        #expect(view.image == image && view.mask == mask)
        let input = Preprocessing(kind: .sam, side: image.width).apply(to: view.image)  // [S, S, 3]
        let plane = image.width * image.height
        let expected = try table.tensor("in.image").elements[number * 3 * plane..<(number + 1) * 3 * plane]
        let first = (0..<3).flatMap { channel in (0..<plane).map { input[$0 * 3 + channel] } }
        expectClose(first, Array(expected), relativeToMaximum: 1e-6, "image \(number)")
        let boxes = try table.tensor("in.boxes", shape: [3, 4]).elements
        try expectBox(mask.tightBox, Array(boxes[number * 4..<number * 4 + 4]), "box \(number)")
    }

    @Test(arguments: 0..<3) func noisyMasks(number: Int) throws {
        let table = try open()
        let low = try self.mask(table, "out.mask_low", number: number)
        let own = try mask(table, "in.mask_u8", number: number).resized(width: low.width, height: low.height)
        expectClose(own.values, low.values, relativeToMaximum: 1e-5, "mask \(number)")
        let noise = try self.mask(table, "in.mask_noise", number: number).values
        let expected = try self.mask(table, "out.noise_mask", number: number)
        let noisy = own.noisyPrompt(noise)
        #expect(noisy == expected)
        #expect(noisy.values != own.values && Set(noisy.values) == [0, 255], "the noise must change something")
    }

    /// The released code gives an empty mask a box that is no box; here it has none.
    @Test func emptyMask() throws {
        #expect(try open().tensor("out.empty_box").elements == [1e8, 1e8, 0, 0])
        #expect(GreyMask(width: 2, height: 1, values: [128, 0]).tightBox == nil)
    }
}

/// Draws of continual training.
@Suite struct ContinualViewTests {
    private let image = Image(
        width: 90, height: 60, channels: 3, pixels: (0..<90 * 60 * 3).map { UInt8($0 * 7 % 251) })

    private func mask(_ isInside: (Int, Int) -> Bool) -> GreyMask {
        GreyMask(width: 90, height: 60, values: (0..<90 * 60).map { isInside($0 % 90, $0 / 90) ? 255 : 0 })
    }

    @Test func sizesFollowTheScale() {
        let jitter = LargeScaleJitter(side: 128)
        #expect(jitter.resizedSize(width: 90, height: 60, scale: 0) == (13, 9))
        #expect(jitter.resizedSize(width: 90, height: 60, scale: 1) == (256, 171))
        #expect(jitter.resizedSize(width: 1, height: 1250, scale: 0) == (1, 13))
    }

    /// A view is the function of its draws: mirrored input gives the mirrored view, a crop is a part of the whole.
    @Test func mirroringAndCropping() {
        let jitter = LargeScaleJitter(side: 64)
        let object = mask { x, y in x > 10 && x < 40 && y > 20 && y < 50 }
        let small = LargeScaleJitter.Draws(isMirrored: false, scale: 0.4, row: 0, column: 0)
        let view = jitter.apply(small, to: image, object)
        let mirrored = jitter.apply(
            .init(isMirrored: true, scale: 0.4, row: 0, column: 0), to: image.flipped(.horizontal),
            GreyMask(
                width: 90, height: 60, values: object.values.indices.map { object.values[$0 / 90 * 90 + 89 - $0 % 90] })
        )
        #expect(view == mirrored)
        let size = jitter.resizedSize(width: 90, height: 60, scale: 0.4)
        #expect(size.width < 64 && size.height < 64)
        let padding = view.image.cropped(x: 0, y: size.height, width: 64, height: 64 - size.height)
        #expect(padding.pixels.allSatisfy { $0 == 128 })
        #expect(view.mask.values[(size.height * 64)...].allSatisfy { $0 == 0 })
        let whole = LargeScaleJitter.Draws(isMirrored: false, scale: 0.9, row: 0, column: 0)
        let part = LargeScaleJitter.Draws(isMirrored: false, scale: 0.9, row: 5, column: 9)
        #expect(
            jitter.apply(whole, to: image, object).image.cropped(x: 9, y: 5, width: 40, height: 40)
                == jitter.apply(part, to: image, object).image.cropped(x: 0, y: 0, width: 40, height: 40))
    }

    @Test func drawsAreSeededAndFindTheObject() throws {
        let jitter = LargeScaleJitter(side: 64)
        let corner = mask { x, y in x > 84 && y > 54 }
        var (first, again) = (SeededGenerator(seed: 3, purpose: "t"), SeededGenerator(seed: 3, purpose: "t"))
        var views: [MaskedView] = []
        for _ in 0..<40 {
            let view = jitter.draw(image, corner, using: &first)
            #expect(view == jitter.draw(image, corner, using: &again))
            if let view { views.append(view) }
        }
        #expect(views.allSatisfy(\.mask.hasForeground) && Set(views.compactMap { $0.mask.tightBox?.x0 }).count > 10)
        #expect(jitter.draw(image, mask { _, _ in false }, using: &first) == nil)
    }

    @Test func points() throws {
        let object = mask { x, y in y == 7 && x < 12 }
        var generator = SeededGenerator(seed: 1, purpose: "t")
        #expect(object.points(13, using: &generator) == nil)
        let points = try #require(object.points(10, using: &generator))
        #expect(Set(points.map(\.x)).count == 10)
        #expect(points.allSatisfy { $0.y == 7 && $0.x < 12 && $0.isForeground })
        var seen = Set<Double>()
        for _ in 0..<300 { seen.formUnion(try #require(object.points(1, using: &generator)).map(\.x)) }
        #expect(seen.count == 12, "every pixel can be drawn")
    }

    @Test func noiseStaysAtTheBoundary() {
        let object = GreyMask(
            width: 64, height: 64, values: (0..<64 * 64).map { $0 % 64 < 32 ? 255 : 0 })
        var generator = SeededGenerator(seed: 1, purpose: "t")
        let noisy = object.noisyPrompt(using: &generator)
        let changed = noisy.values.indices.filter { noisy.values[$0] != object.values[$0] }.map { $0 % 64 }
        #expect(changed.count > 50 && changed.allSatisfy { $0 >= 20 && $0 < 44 })
    }
}
