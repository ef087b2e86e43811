import Imaging
import Testing

private let image = Image(width: 3, height: 2, channels: 1, pixels: [1, 2, 3, 4, 5, 6])
private let labels = LabelImage(width: 3, height: 2, labels: [1, 2, 3, 4, 5, 600])

@Suite struct GeometryTests {
    @Test func flips() {
        #expect(image.flipped(.none) == image)
        #expect(image.flipped(.horizontal).pixels == [3, 2, 1, 6, 5, 4])
        #expect(image.flipped(.vertical).pixels == [4, 5, 6, 1, 2, 3])
        #expect(image.flipped(.both).pixels == [6, 5, 4, 3, 2, 1])
        #expect(labels.flipped(.both).labels == [600, 5, 4, 3, 2, 1])
        let rgb = Image(width: 2, height: 1, channels: 3, pixels: [1, 2, 3, 4, 5, 6])
        #expect(rgb.flipped(.horizontal).pixels == [4, 5, 6, 1, 2, 3])
    }

    @Test(arguments: Flip.allCases)
    func flippingTwiceRestores(flip: Flip) {
        let rgb = Image(width: 7, height: 5, channels: 3, pixels: pattern(7 * 5 * 3))
        #expect(rgb.flipped(flip).flipped(flip) == rgb)
    }

    @Test func cropAndPad() {
        #expect(image.cropped(x: 1, y: 0, width: 2, height: 2).pixels == [2, 3, 5, 6])
        #expect(labels.cropped(x: 2, y: 1, width: 1, height: 1).labels == [600])
        #expect(image.padded(toWidth: 4, height: 3, with: 9).pixels == [1, 2, 3, 9, 4, 5, 6, 9, 9, 9, 9, 9])
        #expect(labels.padded(toWidth: 3, height: 3).labels == [1, 2, 3, 4, 5, 600, 0, 0, 0])
        #expect(image.padded(toWidth: 9, height: 8).cropped(x: 0, y: 0, width: 3, height: 2) == image)
    }
}
