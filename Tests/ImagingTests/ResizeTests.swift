import Imaging
import Testing

@Suite struct GoldenResizeTests {
    @Test(arguments: [(31, 23), (90, 70), (61, 20), (40, 47), (7, 100)])
    func bilinearEqualsPillow(width: Int, height: Int) throws {
        let source = try ImageFile.decode(path: Fixture.path("resize-source.png"))
        let expected = try Fixture.image("resize-\(width)x\(height).bin")
        #expect(Resize.bilinear(source, width: width, height: height) == expected)
    }

    @Test func hashesEqualPillow() throws {
        let text = String(decoding: try Fixture.bytes("resize.txt"), as: UTF8.self)
        let lines = text.split(separator: "\n")
        #expect(lines.count == 45)
        for line in lines {
            let fields = line.split(separator: " ")
            let sizes = fields[1..<5].compactMap { Int($0) }
            let (width, height, newWidth, newHeight) = (sizes[0], sizes[1], sizes[2], sizes[3])
            let hash: UInt64
            if fields[0] == "nearest" {
                let labels = LabelImage(width: width, height: height, labels: pattern(width * height).map(UInt16.init))
                hash = fnv1a(Resize.nearest(labels, width: newWidth, height: newHeight).labels.map { UInt8($0) })
            } else {
                let channels = fields[0] == "rgb" ? 3 : 1
                let image = Image(
                    width: width, height: height, channels: channels, pixels: pattern(width * height * channels))
                hash = fnv1a(Resize.bilinear(image, width: newWidth, height: newHeight).pixels)
            }
            #expect(UInt64(fields[5], radix: 16) == hash, "\(line)")
        }
    }
}

@Suite struct ResizeTests {
    @Test func constantsStayConstant() {
        for value: UInt8 in [0, 1, 127, 254, 255] {
            let image = Image(width: 37, height: 23, channels: 3, filledWith: value)
            for (width, height) in [(11, 50), (100, 7), (1, 1)] {
                let resized = Resize.bilinear(image, width: width, height: height)
                #expect(resized == Image(width: width, height: height, channels: 3, filledWith: value))
            }
        }
    }

    @Test func longestSide() {
        #expect(Resize.longestSideSize(width: 640, height: 480, target: 1024) == (1024, 768))
        #expect(Resize.longestSideSize(width: 427, height: 640, target: 1024) == (683, 1024))
        #expect(Resize.longestSideSize(width: 3000, height: 2001, target: 1024) == (1024, 683))
        #expect(Resize.longestSideSize(width: 1024, height: 1024, target: 1024) == (1024, 1024))
    }
}
