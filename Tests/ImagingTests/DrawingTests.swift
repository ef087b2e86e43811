import Imaging
import Testing

@Suite struct DrawingTests {
    @Test func instanceColoursAreStableAndDistinct() {
        #expect(Colour.instance(1) == Colour.instance(1))
        let colours = (1...60).map(Colour.instance)
        for (index, colour) in colours.enumerated() {
            for other in colours[..<index] { #expect(colour != other) }
        }
    }

    @Test func overlayMixesInsideAndDrawsTheContour() {
        var picture = Image(width: 7, height: 7, channels: 1, filledWith: 100)
        var labels = LabelImage(width: 7, height: 7, labels: [UInt16](repeating: 0, count: 49))
        for y in 2...4 {
            for x in 2...4 { labels.labels[y * 7 + x] = 3 }
        }
        picture.overlay(labels, opacity: 0.5)
        let colour = Colour.instance(3)
        #expect(picture.channels == 3)
        #expect(picture.colour(x: 0, y: 0) == Colour(100, 100, 100))
        #expect(picture.colour(x: 2, y: 3) == colour)
        let inside = picture.colour(x: 3, y: 3)
        #expect(abs(Int(inside.red) - (100 + Int(colour.red)) / 2) <= 1)
        #expect(abs(Int(inside.blue) - (100 + Int(colour.blue)) / 2) <= 1)
    }

    @Test func maskOverlayUsesItsColour() {
        var picture = Image(width: 3, height: 1, channels: 3, filledWith: 0)
        picture.overlay(mask: [false, true, true], colour: Colour(200, 100, 0), opacity: 0.5, contour: false)
        #expect(picture.pixels == [0, 0, 0, 100, 50, 0, 100, 50, 0])
    }

    @Test func boxesAndPointsAreClipped() {
        var picture = Image(width: 8, height: 6, channels: 3)
        picture.drawBox(left: -5, top: 1, right: 6, bottom: 90, colour: .white, thickness: 1)
        let lit = (0..<48).filter { picture.colour(x: $0 % 8, y: $0 / 8) == .white }
        #expect(lit == [8, 9, 10, 11, 12, 13, 14, 22, 30, 38, 46])
        picture.drawBox(left: 90, top: 90, right: 99, bottom: 99, colour: .foreground)
        picture.drawBox(left: 4, top: 4, right: 3, bottom: 3, colour: .foreground)
        #expect(lit == (0..<48).filter { picture.colour(x: $0 % 8, y: $0 / 8) == .white })
        picture.drawPoint(x: 0, y: 0, isForeground: true, radius: 2)
        #expect(picture.colour(x: 0, y: 0) == .foreground)
        picture.drawPoint(x: 7, y: 5, isForeground: false, radius: 1)
        #expect(picture.colour(x: 7, y: 5) == .background)
    }

    @Test func sideBySideKeepsEveryPixel() {
        let left = Image(width: 2, height: 3, channels: 3, filledWith: 10)
        let right = Image(width: 1, height: 1, channels: 1, filledWith: 20)
        let both = Image.sideBySide([left, right], gap: 2)
        #expect(both.width == 5 && both.height == 3)
        #expect(both.cropped(x: 0, y: 0, width: 2, height: 3) == left)
        #expect(both.colour(x: 4, y: 0) == Colour(20, 20, 20))
        #expect(both.colour(x: 4, y: 1) == .white && both.colour(x: 2, y: 0) == .white)
    }

    @Test func everyGlyphDiffers() {
        let characters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.,-+%:/()=_"
        var seen: [Image] = []
        for character in characters {
            var picture = Image(width: 6, height: 8, channels: 3)
            picture.drawText(String(character), x: 0, y: 0, scale: 1)
            #expect(!seen.contains(picture), "\(character)")
            #expect(picture.pixels.contains(255))
            seen.append(picture)
        }
        var letter = Image(width: 5, height: 7, channels: 3)
        letter.drawText("T", x: 0, y: 0, scale: 1)
        #expect((0..<5).allSatisfy { letter.colour(x: $0, y: 0) == .white })
        #expect((1..<7).allSatisfy { letter.colour(x: 2, y: $0) == .white })
        #expect(letter.pixels.filter { $0 == 255 }.count == 3 * 11)
    }

    @Test func captionStandsAboveThePicture() {
        let picture = Image(width: 40, height: 5, channels: 3, filledWith: 7)
        let captioned = picture.captioned("IoU")
        #expect(captioned.width == 40 && captioned.height == 5 + 20)
        #expect(captioned.cropped(x: 0, y: 20, width: 40, height: 5) == picture)
        #expect(captioned.cropped(x: 0, y: 0, width: 40, height: 20).pixels.contains(0))
    }
}
